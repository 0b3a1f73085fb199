using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Relay.Chaos.Network;

/// <summary>A TUN device of the namespace in which it was opened.</summary>
internal sealed partial class Tun : IDisposable
{
    private const uint SetInterface = 0x400454ca;
    private const short TunWithoutHeader = 0x1001;
    private const short PollIn = 1;
    private readonly SafeFileHandle _file;

    private Tun(SafeFileHandle file) => _file = file;

    public static Tun Open(string name)
    {
        var file = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var request = new byte[40];
        System.Text.Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request.AsSpan(16), TunWithoutHeader);
        if (Control(file, SetInterface, request) != 0)
            throw new ChaosSetupException($"TUNSETIFF: error {Marshal.GetLastPInvokeError()}");
        return new Tun(file);
    }

    /// <summary>0: nothing came in time.</summary>
    public int Read(byte[] buffer, TimeSpan limit)
    {
        var poll = new PollRequest { Descriptor = _file.DangerousGetHandle().ToInt32(), Events = PollIn };
        if (Poll(ref poll, 1, (int)limit.TotalMilliseconds) <= 0)
            return 0;
        return (int)Math.Max(0, Read(_file, buffer, (nuint)buffer.Length));
    }

    public void Write(byte[] packet) => _ = Write(_file, packet, (nuint)packet.Length);

    public void Dispose() => _file.Dispose();

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, byte[] argument);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref PollRequest requests, nuint count, int timeout);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle file, byte[] buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle file, byte[] buffer, nuint count);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
