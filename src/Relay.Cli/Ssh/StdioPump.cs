using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Relay.Cli.Ssh;

/// <summary>
/// Carries stdin to a connection and the connection to stdout; each direction ends alone. It outlives its ssh for a
/// moment: ssh writes its DISCONNECT and sends SIGHUP to its ProxyCommand in the same breath, and a terminal's Ctrl-C
/// reaches both. What ssh has said by then still goes out, so that an orderly end is not taken for a lost connection.
/// </summary>
internal static class StdioPump
{
    // Of the gateway's answer to a goodbye that nobody reads.
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(5);

    /// <param name="finishWriting">Told once stdin has ended: the half-close.</param>
    public static async Task RunAsync(Stream connection, Action finishWriting, TimeProvider time, CancellationToken cancellationToken)
    {
        var hungUp = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        await using var stdin = Console.OpenStandardInput();
        await using var stdout = Console.OpenStandardOutput();
        var up = UpAsync();
        // The connection's end is the end: ssh closes our stdin only after it has seen that.
        var down = CopyAsync(connection, stdout, cancellationToken);
        if (await Task.WhenAny(down, LeftAsync()) == down)
            await down;

        async Task LeftAsync()
        {
            await Task.WhenAll(hungUp.Task, up);
            await Task.WhenAny(down, Task.Delay(s_lastWords, time, cancellationToken));
        }

        async Task UpAsync()
        {
            try
            {
                await CopyAsync(stdin, connection, cancellationToken);
                finishWriting();
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException)
            {
                // The connection has gone; the other direction notices it and ends the command.
            }
        }

        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            hungUp.TrySetResult();
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
