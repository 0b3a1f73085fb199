using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Relay.Protocol.Tunnel;

/// <summary>The peer did not send an attach message. The message is safe to log.</summary>
public sealed class AttachProtocolException : IOException
{
    /// <summary>Says what was wrong.</summary>
    /// <param name="message">Without anything the peer sent.</param>
    /// <param name="inner">What it came from; null: nothing.</param>
    public AttachProtocolException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>Framing of the two attach messages: 4 bytes length (big-endian, without itself), then JSON. Deadlines are the caller's.</summary>
public static class AttachPreamble
{
    /// <summary>ALPN of the tunnel's TLS connection.</summary>
    public const string Alpn = "relay-tunnel/1";

    /// <summary>Writes one message and flushes.</summary>
    /// <param name="stream">The TLS stream.</param>
    /// <param name="message">The message.</param>
    /// <param name="type">How to write it.</param>
    /// <param name="cancellationToken">The deadline.</param>
    /// <exception cref="ArgumentException">Larger than <see cref="TunnelWire.MaxPreambleBytes"/>.</exception>
    public static async ValueTask WriteAsync<T>(Stream stream, T message, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var json = JsonSerializer.SerializeToUtf8Bytes(message, type);
        if (json.Length > TunnelWire.MaxPreambleBytes)
        {
            throw new ArgumentException("An attach message is limited to 16 KiB.", nameof(message));
        }

        // One write, one TLS record: the peer never sees a length without its message.
        var frame = new byte[4 + json.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, json.Length);
        json.CopyTo(frame, 4);
        await stream.WriteAsync(frame, cancellationToken).ConfigureAwait(false);
        await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads exactly one message, not a byte more.</summary>
    /// <param name="stream">The TLS stream.</param>
    /// <param name="type">How to read it.</param>
    /// <param name="cancellationToken">The deadline.</param>
    /// <exception cref="AttachProtocolException">The peer closed, the length is 0 or too large (checked before anything is allocated, L16), or it is not such a message.</exception>
    public static async ValueTask<T> ReadAsync<T>(Stream stream, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(stream);
        try
        {
            var header = new byte[4];
            await stream.ReadExactlyAsync(header, cancellationToken).ConfigureAwait(false);
            var length = BinaryPrimitives.ReadUInt32BigEndian(header);
            if (length is 0 or > TunnelWire.MaxPreambleBytes)
            {
                throw new AttachProtocolException("the attach message has a length outside 1..16384");
            }

            var json = new byte[(int)length];
            await stream.ReadExactlyAsync(json, cancellationToken).ConfigureAwait(false);
            return JsonSerializer.Deserialize(json, type) ?? throw new AttachProtocolException("the attach message is empty");
        }
        catch (EndOfStreamException e)
        {
            throw new AttachProtocolException("the peer closed the connection before its attach message was complete", e);
        }
        catch (JsonException e)
        {
            throw new AttachProtocolException("the attach message is not the JSON that was expected", e);
        }
    }
}
