using System.Text.Json;
using System.Text.Json.Serialization;
using Relay.Protocol.Grid;

namespace Relay.Protocol.Tunnel;

/// <summary>One line (NDJSON) of the stream <see cref="TunnelWire.ControlPath"/>, silo to agent.</summary>
/// <param name="Type">"ping" or "silos"; an agent ignores others.</param>
/// <param name="NextMs">With "ping": in how many milliseconds the next line comes at the latest; an agent that hears nothing for clearly longer attaches elsewhere.</param>
/// <param name="Silos">With "silos": which silos there are now, with the addresses that connectors dial.</param>
public sealed record TunnelMessage(string Type, int? NextMs = null, SiloAnnouncements? Silos = null);

/// <summary>Serializer of <see cref="TunnelMessage"/>: snake_case, unknown fields ignored, nulls omitted.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TunnelMessage))]
public sealed partial class TunnelMessageJson : JsonSerializerContext;

/// <summary>Writes and reads the lines of <see cref="TunnelWire.ControlPath"/>.</summary>
public static class TunnelLines
{
    /// <summary>A longer line ends the stream.</summary>
    public const int MaxLineBytes = 64 * 1024;

    /// <summary>Writes one line.</summary>
    /// <param name="stream">One writer at a time.</param>
    /// <param name="message">The message.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The stream is over.</exception>
    public static async ValueTask WriteAsync(Stream stream, TunnelMessage message, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var line = JsonSerializer.SerializeToUtf8Bytes(message, TunnelMessageJson.Default.TunnelMessage);
        Array.Resize(ref line, line.Length + 1);
        line[^1] = (byte)'\n';
        await stream.WriteAsync(line, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads until the stream ends; hands over what it understands.</summary>
    /// <param name="stream">One reader at a time.</param>
    /// <param name="received">Called for each message, in order.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The stream was aborted, or a line is too long.</exception>
    public static async Task ReadAsync(Stream stream, Action<TunnelMessage> received, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(received);
        var buffer = new byte[512];
        var length = 0;
        while (await stream.ReadAsync(buffer.AsMemory(length), cancellationToken).ConfigureAwait(false) is var read and > 0)
        {
            length += read;
            var start = 0;
            int end;
            while ((end = buffer.AsSpan(start, length - start).IndexOf((byte)'\n')) >= 0)
            {
                if (TryParse(buffer.AsSpan(start, end)) is { } message)
                    received(message);
                start += end + 1;
            }

            buffer.AsSpan(start, length - start).CopyTo(buffer);
            length -= start;
            if (length < buffer.Length)
                continue;
            if (length >= MaxLineBytes)
                throw new IOException("a control line is too long");
            Array.Resize(ref buffer, length * 2);
        }
    }

    // A line that cannot be read is one of a version to come: it still shows that the peer lives.
    private static TunnelMessage? TryParse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, TunnelMessageJson.Default.TunnelMessage);
        }
        catch (JsonException)
        {
            return new TunnelMessage("");
        }
    }
}
