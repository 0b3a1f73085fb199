namespace Relay.Gateway.Grid;

/// <summary>Reads lines from a silo as they come.</summary>
internal static class GridLines
{
    /// <summary>No line of the grid is longer.</summary>
    public const int MaxLineBytes = 64 * 1024;

    /// <summary>Hands over each line, without its end, until the stream ends. The bytes are the reader's again when the handler returns.</summary>
    /// <param name="onHeard">Called whenever something has come.</param>
    /// <exception cref="GridException">A line is too long.</exception>
    public static async Task ReadAsync(Stream stream, Action onHeard, Func<ReadOnlyMemory<byte>, ValueTask> handle, CancellationToken cancellationToken)
    {
        var buffer = new byte[1024];
        var length = 0;
        while (true)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), cancellationToken);
            if (read == 0)
            {
                return;
            }

            onHeard();
            length += read;
            int end;
            var start = 0;
            while ((end = buffer.AsSpan(start, length - start).IndexOf((byte)'\n')) >= 0)
            {
                if (end > 0)
                {
                    await handle(buffer.AsMemory(start, end));
                }

                start += end + 1;
            }

            buffer.AsSpan(start, length - start).CopyTo(buffer);
            length -= start;
            if (length == buffer.Length)
            {
                if (length >= MaxLineBytes)
                {
                    throw new GridException("The silo's line is too long.", null, "protocol");
                }

                Array.Resize(ref buffer, length * 2);
            }
        }
    }
}
