namespace Relay.Cli.Ssh;

/// <summary>Carries stdin to a connection and the connection to stdout; each direction ends alone.</summary>
internal static class StdioPump
{
    /// <param name="finishWriting">Told once stdin has ended: the half-close.</param>
    public static async Task RunAsync(Stream connection, Action finishWriting, CancellationToken cancellationToken)
    {
        await using var stdin = Console.OpenStandardInput();
        await using var stdout = Console.OpenStandardOutput();
        _ = UpAsync();
        // The connection's end is the end: ssh closes our stdin only after it has seen that.
        await CopyAsync(connection, stdout, cancellationToken);

        async Task UpAsync()
        {
            try
            {
                await CopyAsync(stdin, connection, cancellationToken);
                finishWriting();
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or System.Net.Sockets.SocketException)
            {
                // The connection has gone; the other direction notices it and ends the command.
            }
        }
    }

    private static async Task CopyAsync(Stream from, Stream to, CancellationToken cancellationToken)
    {
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = await from.ReadAsync(buffer, cancellationToken)) > 0)
        {
            await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            await to.FlushAsync(cancellationToken);
        }
    }
}
