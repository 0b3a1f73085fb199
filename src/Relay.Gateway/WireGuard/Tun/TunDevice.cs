using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Relay.Gateway.WireGuard.Native;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>
/// One queue of a tunnel interface. The kernel removes the interface, with its addresses and routes, when the last queue is
/// closed, however the process ends. Reading does not block. Safe for concurrent use by one reader and one writer. Caller disposes.
/// </summary>
internal sealed unsafe class TunDevice : IDisposable
{
    /// <summary>Longest that one read gives: a header, and a packet of TSO or USO.</summary>
    public const int LongestRead = VirtioHeader.Length + 65535 + 32;

    private const string Path = "/dev/net/tun";
    private const uint TUNSETIFF = 0x400454ca, TUNSETOFFLOAD = 0x400454d0;
    private const ushort IFF_TUN = 1, IFF_MULTI_QUEUE = 0x100, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;
    private const uint TUN_F_CSUM = 1, TUN_F_TSO4 = 2, TUN_F_TSO6 = 4, TUN_F_USO4 = 0x20, TUN_F_USO6 = 0x40;
    private const int NameLength = 16, RequestLength = 40;

    private readonly SafeFileHandle _file;

    private TunDevice(SafeFileHandle file) => _file = file;

    /// <summary>The kernel gives and takes large TCP packets and leaves checksums to us.</summary>
    public bool HasOffload { get; private init; }

    /// <summary>The same of runs of UDP packets, since Linux 6.2.</summary>
    public bool HasUdpOffload { get; private init; }

    /// <summary>Makes the interface, or opens one more queue of it.</summary>
    /// <param name="name">At most 15 characters.</param>
    /// <param name="multiQueue">True: several queues will be opened; all of them must say so.</param>
    /// <param name="offload">False: packets come one by one, with their checksums.</param>
    /// <exception cref="WireGuardUnavailableException">It can not be had; the message says why.</exception>
    public static TunDevice Open(string name, bool multiQueue, bool offload = true)
    {
        SafeFileHandle file = LibC.Open(Path, LibC.O_RDWR | LibC.O_NONBLOCK | LibC.O_CLOEXEC);
        if (file.IsInvalid)
        {
            int error = Marshal.GetLastPInvokeError();
            file.Dispose();
            throw new WireGuardUnavailableException($"{Path} can not be opened: {Marshal.GetPInvokeErrorMessage(error)}.");
        }

        Span<byte> request = stackalloc byte[RequestLength];
        request.Clear();
        System.Text.Encoding.ASCII.GetBytes(name.AsSpan(0, Math.Min(name.Length, NameLength - 1)), request);
        MemoryMarshal.Write(request[NameLength..], (ushort)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0)));
        fixed (byte* argument = request)
        {
            if (LibC.Control(file, TUNSETIFF, argument) < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                file.Dispose();
                throw new WireGuardUnavailableException(error switch
                {
                    LibC.EBUSY => $"the interface {name} is another process's: a second gateway in this network namespace?",
                    LibC.EPERM => $"the interface {name} may not be made: CAP_NET_ADMIN is missing.",
                    _ => $"the interface {name} can not be made: {Marshal.GetPInvokeErrorMessage(error)}.",
                });
            }
        }

        const uint Tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        bool udp = offload && LibC.Control(file, TUNSETOFFLOAD, Tcp | TUN_F_USO4 | TUN_F_USO6) == 0;
        return new TunDevice(file) { HasUdpOffload = udp, HasOffload = udp || (offload && LibC.Control(file, TUNSETOFFLOAD, Tcp) == 0) };
    }

    /// <summary>Waits for a packet; false when none came in time.</summary>
    public bool Wait(TimeSpan limit)
    {
        var descriptor = new PollDescriptor { File = (int)_file.DangerousGetHandle(), Events = LibC.POLLIN };
        return LibC.Poll(&descriptor, 1, (int)limit.TotalMilliseconds) > 0;
    }

    /// <summary>Reads a header and a packet.</summary>
    /// <param name="to">Room for <see cref="LongestRead"/>.</param>
    /// <returns>Bytes read, the header's included; 0 when there is nothing now.</returns>
    public int Read(Span<byte> to)
    {
        fixed (byte* start = to) return (int)Math.Max(0, LibC.Read(_file, start, (nuint)to.Length));
    }

    /// <summary>Writes a header and a packet, in pieces. False when the kernel did not take it: the packet is lost, as in any network.</summary>
    public bool Write(IoVector* pieces, int count) => LibC.WriteVectors(_file, pieces, count) > 0;

    public void Dispose() => _file.Dispose();
}
