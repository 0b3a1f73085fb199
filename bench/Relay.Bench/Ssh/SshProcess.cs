using System.Diagnostics;

namespace Relay.Bench.Ssh;

/// <summary>A running ssh whose stdin and stdout are bytes. Disposing ends it.</summary>
internal sealed class SshProcess : IDisposable
{
    private readonly Process _process;
    private readonly byte[] _buffer = new byte[4096];

    private SshProcess(Process process) => _process = process;

    public static SshProcess Start(IEnumerable<string> arguments) => new(Process.Start(new ProcessStartInfo("ssh", arguments)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!);

    public async Task WriteAsync(byte value)
    {
        _buffer[0] = value;
        await _process.StandardInput.BaseStream.WriteAsync(_buffer.AsMemory(0, 1));
        await _process.StandardInput.BaseStream.FlushAsync();
    }

    /// <summary>Waits for that many bytes.</summary>
    public async Task ReadAsync(int count)
    {
        for (var read = 0; read < count;)
        {
            var more = await _process.StandardOutput.BaseStream.ReadAsync(_buffer.AsMemory(0, Math.Min(_buffer.Length, count - read)));
            if (more == 0)
                throw new InvalidOperationException("ssh ended.");
            read += more;
        }
    }

    /// <summary>Takes what has come together with the first bytes: a line's end behind its text.</summary>
    public async Task DrainAsync(int expected) => await ReadAsync(expected);

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
    }
}
