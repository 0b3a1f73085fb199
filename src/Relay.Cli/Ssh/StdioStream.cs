using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Relay.Protocol.Tunnel;

namespace Relay.Cli.Ssh;

/// <summary>
/// Standard input and output as one duplex stream: the end of input is the peer's half-close, closing output is ours. A read of standard
/// input cannot be taken back; one that is left over when the stream is aborted ends with the process.
/// </summary>
internal sealed partial class StdioStream : DuplexStream
{
    private readonly Stream _input = Console.OpenStandardInput();
    private readonly Stream _output = OpenOutput();
    private readonly CancellationTokenSource _stop = new();
    private readonly byte[] _buffer = new byte[64 * 1024];
    private ReadOnlyMemory<byte> _rest;
    private string? _abortReason;
    private bool _inputEnded;

    public override CancellationToken Aborted => _stop.Token;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_rest.IsEmpty && !_inputEnded)
        {
            // Into memory of its own: the read may outlive this call.
            var read = await Task.Run(() => _input.Read(_buffer), CancellationToken.None).WaitAsync(_stop.Token).ConfigureAwait(false);
            _rest = _buffer.AsMemory(0, read);
            _inputEnded = read == 0;
        }

        var count = Math.Min(buffer.Length, _rest.Length);
        _rest[..count].CopyTo(buffer);
        _rest = _rest[count..];
        return count;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (Volatile.Read(ref _abortReason) is { } reason)
            throw new IOException(reason);
        await _output.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
    }

    public override ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        EndOutput();
        return ValueTask.CompletedTask;
    }

    public override void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is null)
            _stop.Cancel();
    }

    // The console's own stream swallows EPIPE; a FileStream would keep a file's offset to itself.
    private static Stream OpenOutput()
    {
        var output = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        return output.CanSeek ? Console.OpenStandardOutput() : output;
    }

    // Whoever reads a pipe sees its end when nobody has it open any more, and the runtime keeps duplicates of its own.
    private static void EndOutput()
    {
        var output = Target(1);
        if (output?.StartsWith("socket:", StringComparison.Ordinal) is true)
        {
            _ = Shutdown(1, ShutWr);
            return;
        }

        // Where errors go the same way, the end is the process's.
        if (output?.StartsWith("pipe:", StringComparison.Ordinal) is not true || output == Target(2))
            return;
        using var nowhere = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write);
        foreach (var entry in Directory.EnumerateFileSystemEntries("/proc/self/fd"))
        {
            if (int.TryParse(Path.GetFileName(entry), out var descriptor) && Target(descriptor) == output)
                _ = Dup2((int)nowhere.DangerousGetHandle(), descriptor);
        }
    }

    private static string? Target(int descriptor)
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;
        }
        catch (IOException)
        {
            // Closed meanwhile.
            return null;
        }
    }

    private const int ShutWr = 1;

    /// <returns>-1: failed; there is nothing to do about it.</returns>
    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Dup2(int from, int to);

    /// <returns>-1: failed, for example because the peer has gone.</returns>
    [LibraryImport("libc", EntryPoint = "shutdown")]
    private static partial int Shutdown(int socket, int how);
}
