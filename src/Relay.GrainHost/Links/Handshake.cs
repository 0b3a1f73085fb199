using Relay.GrainHost.Membership;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>The first frames of a link: who dials whom. A dialler that means an earlier start of this silo must not reach this one.</summary>
/// <param name="FromAddress">The dialler's grid address.</param>
/// <param name="FromIncarnation">Which start of it.</param>
/// <param name="ToAddress">Whom it means.</param>
/// <param name="ToIncarnation">Which start of that.</param>
internal sealed record Handshake(string FromAddress, Guid FromIncarnation, string ToAddress, Guid ToIncarnation)
{
    public byte[] ToFrame()
    {
        var writer = FrameWriter.Begin(FrameKind.Hello);
        writer.WriteFixed32(LinkWire.Magic);
        writer.WriteString(FromAddress);
        FromIncarnation.TryWriteBytes(writer.Take(16));
        writer.WriteString(ToAddress);
        ToIncarnation.TryWriteBytes(writer.Take(16));
        return FrameWriter.Finish(writer).ToArray();
    }

    /// <exception cref="WireFormatException">No hello, or one of another protocol version.</exception>
    public static Handshake Parse(ReadOnlySpan<byte> frame)
    {
        var reader = new WireReader(frame);
        if (reader.ReadByte() != (byte)FrameKind.Hello) throw new WireFormatException("A link must begin with a hello.");
        if (reader.ReadFixed32() != LinkWire.Magic) throw new WireFormatException("The hello is of another protocol or version.");
        return new Handshake(reader.ReadString(), new Guid(reader.Take(16)), reader.ReadString(), new Guid(reader.Take(16)));
    }

    public static byte[] Welcome() => FrameWriter.Finish(FrameWriter.Begin(FrameKind.Welcome)).ToArray();

    public static byte[] Refusal(string reason)
    {
        var writer = FrameWriter.Begin(FrameKind.Refused);
        writer.WriteString(reason.Length <= 200 ? reason : reason[..200]);
        return FrameWriter.Finish(writer).ToArray();
    }

    /// <summary>Null: welcome. Else the other side's reason.</summary>
    public static string? ParseAnswer(ReadOnlySpan<byte> frame)
    {
        var reader = new WireReader(frame);
        return (FrameKind)reader.ReadByte() switch
        {
            FrameKind.Welcome => null,
            FrameKind.Refused => reader.ReadString(),
            _ => throw new WireFormatException("A hello was answered by something else."),
        };
    }

    /// <summary>Dials and shakes hands.</summary>
    /// <exception cref="IOException">The other side refuses, or is no silo.</exception>
    public static async Task<(Stream Stream, FrameReader Reader)> DialAsync(ISiloTransport transport, ILocalSilo local, SiloMember peer, CancellationToken cancellationToken)
    {
        var stream = await transport.ConnectAsync(peer.Address, cancellationToken).ConfigureAwait(false);
        try
        {
            var hello = new Handshake(local.Address, local.Incarnation, peer.Address, peer.Incarnation);
            await stream.WriteAsync(hello.ToFrame(), cancellationToken).ConfigureAwait(false);
            await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
            var reader = new FrameReader(stream);
            var answer = await reader.ReadFrameAsync(LinkWire.MaxHelloBytes, cancellationToken).ConfigureAwait(false)
                ?? throw new IOException("The silo closed the link without an answer.");
            if (ParseAnswer(answer) is { } reason) throw new IOException($"The silo refuses the link: {reason}");
            return (stream, reader);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
