using System.Buffers;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>Carries a program's output to its channel and then says how it ended: exit status before EOF before CLOSE.</summary>
internal static class ProgramOutput
{
    private const int BufferBytes = 32 * 1024;
    private const uint StandardError = 1;

    public static async Task ForwardAsync(SpawnedProgram program, SshChannel channel, CancellationToken cancellationToken)
    {
        try
        {
            if (program.Error is null)
                await TerminalAsync(program, channel, cancellationToken);
            else
                await Task.WhenAll(
                    CopyAsync(program.Output, (data, token) => channel.WriteAsync(data, token), cancellationToken),
                    CopyAsync(program.Error, (data, token) => channel.WriteExtendedAsync(StandardError, data, token), cancellationToken));
            var end = await program.End.WaitAsync(cancellationToken);
            if (end.Signal == 0)
                await channel.SendRequestAsync(SshExitStatus.RequestType, false, new SshExitStatus((uint)end.ExitCode).ToPayload(), cancellationToken);
            else
                await channel.SendRequestAsync(SshExitSignal.RequestType, false, new SshExitSignal(SignalNames.Name(end.Signal), end.CoreDumped, "").ToPayload(), cancellationToken);
            await channel.SendEofAsync(cancellationToken);
            await channel.CloseAsync(cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or SshException or SshChannelClosedException)
        {
            // The channel or the connection went first.
        }
    }

    // A program left behind in the background may keep the terminal open: the session ends with the program that led it.
    private static async Task TerminalAsync(SpawnedProgram program, SshChannel channel, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var copying = CopyAsync(program.Output, (data, token) => channel.WriteAsync(data, cancellationToken), ended.Token);
        await Task.WhenAny(copying, program.End);
        await ended.CancelAsync();
        try
        {
            await copying;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The program ended first; what it wrote just before is still in the terminal.
        }
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        int read;
        while ((read = program.Output.TryRead(buffer)) > 0)
            await channel.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private static async Task CopyAsync(DescriptorStream from, Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> write, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            int read;
            while ((read = await from.ReadAsync(buffer, cancellationToken)) > 0)
                await write(buffer.AsMemory(0, read), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
