using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Relay.Gateway.WireGuard.Native;
using static Relay.Gateway.WireGuard.Native.SocketOptions;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// A UDP flow's socket: bound to what was dialled and connected to the device, so the kernel hands its datagrams over without anybody looking.
/// Runs of datagrams of one length cross into the kernel and out of it as one, where the kernel knows how (UDP_GRO, UDP_SEGMENT). One receiver and
/// one sender at a time. Caller disposes.
/// </summary>
internal sealed class UdpFlowSocket : IDisposable
{
    /// <summary>Room for what one receive gives.</summary>
    public const int LongestRun = 65535;

    /// <summary>Datagrams that one send may have: UDP_MAX_SEGMENTS of kernels up to 6.8.</summary>
    public const int MostSegments = 64;

    /// <summary>Bytes that one send may have: one IP packet's until it is cut.</summary>
    public const int MostBytes = 65535 - 40 - 8;

    private const int ControlBytes = 32;

    private readonly Socket _socket;
    private bool _cuts;

    private UdpFlowSocket(Socket socket) => _socket = socket;

    /// <summary>The socket of a flow.</summary>
    /// <exception cref="SocketException">The kernel has none.</exception>
    public static async Task<UdpFlowSocket> OpenAsync(IPEndPoint dialled, IPEndPoint device, CancellationToken cancellationToken)
    {
        var socket = TransparentSocket.Create(device.AddressFamily, SocketType.Dgram);
        try
        {
            // Several devices dial the same address.
            socket.SetRawSocketOption(SOL_SOCKET, SO_REUSEADDR, BitConverter.GetBytes(1));
            socket.Bind(dialled);
            await socket.ConnectAsync(device, cancellationToken);
            socket.Blocking = false;
            return new UdpFlowSocket(socket) { _cuts = TrySet(socket, UDP_SEGMENT, 0) && TrySet(socket, UDP_GRO, 1) };
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Waits until there is something, and takes nothing: a flow at rest has no buffer.</summary>
    /// <exception cref="SocketException">The device says that nobody takes the answers.</exception>
    public async ValueTask WaitAsync(CancellationToken cancellationToken) => await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken);

    /// <summary>Takes a run of datagrams.</summary>
    /// <param name="buffer">Room for <see cref="LongestRun"/>.</param>
    /// <param name="length">Bytes of the run; may be zero, which is an empty datagram.</param>
    /// <param name="segmentLength">Length of each datagram in it but the last, which may be shorter; at least 1.</param>
    /// <returns><see cref="SocketError.WouldBlock"/>: nothing is there now. What is neither this nor success is the device's error.</returns>
    public unsafe SocketError TryReceive(Span<byte> buffer, out int length, out int segmentLength)
    {
        (length, segmentLength) = (0, 1);
        byte* control = stackalloc byte[ControlBytes];
        fixed (byte* start = buffer)
        {
            var vector = new IoVector { Base = start, Length = (nuint)buffer.Length };
            var message = new MultiMessage { Header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlBytes } };
            if (LibC.ReceiveMessages(_socket.SafeHandle, &message, 1, 0, null) != 1)
                return Marshal.GetLastPInvokeError() is LibC.EAGAIN or LibC.EINTR ? SocketError.WouldBlock : SocketError.SocketError;
            length = (int)message.Length;
            segmentLength = Math.Max(length, 1);
            var reader = new ControlReader(new ReadOnlySpan<byte>(control, (int)message.Header.ControlLength));
            while (reader.MoveNext())
            {
                if ((reader.Level, reader.Type) == (SOL_UDP, UDP_GRO)) segmentLength = Math.Max(MemoryMarshal.Read<int>(reader.Data), 1);
            }
        }

        return SocketError.Success;
    }

    /// <summary>Sends a run of datagrams; those that the kernel has no room for are waited for.</summary>
    /// <param name="run">At most <see cref="MostBytes"/>, or one datagram.</param>
    /// <param name="segmentLength">Length of each but the last, which may be shorter; at most <see cref="MostSegments"/> of them.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="SocketException">The device says that nobody takes them.</exception>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> run, int segmentLength, CancellationToken cancellationToken)
    {
        if (_cuts && run.Length > segmentLength && TrySendRun(run.Span, segmentLength)) return;
        do
        {
            int length = Math.Min(segmentLength, run.Length);
            await _socket.SendAsync(run[..length], SocketFlags.None, cancellationToken);
            run = run[length..];
        }
        while (!run.IsEmpty);
    }

    public void Dispose() => _socket.Dispose();

    // False: nothing of it was sent. The kernel has no room for all of it, or can not cut it.
    private unsafe bool TrySendRun(ReadOnlySpan<byte> run, int segmentLength)
    {
        byte* control = stackalloc byte[ControlBytes];
        var writer = new ControlWriter(new Span<byte>(control, ControlBytes));
        MemoryMarshal.Write(writer.Add(SOL_UDP, UDP_SEGMENT, 2), (ushort)segmentLength);
        fixed (byte* start = run)
        {
            var vector = new IoVector { Base = start, Length = (nuint)run.Length };
            var message = new MultiMessage { Header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = (nuint)writer.Length } };
            if (LibC.SendMessages(_socket.SafeHandle, &message, 1, 0) == 1) return true;
            int error = Marshal.GetLastPInvokeError();
            // Datagrams that do not fit the tunnel, or a kernel that can not fill in checksums.
            if (error is LibC.EIO or LibC.EINVAL or LibC.EMSGSIZE) _cuts = false;
            else if (error is not (LibC.EAGAIN or LibC.EINTR or LibC.ENOBUFS)) throw new SocketException((int)SocketError.ConnectionReset);
            return false;
        }
    }

    private static bool TrySet(Socket socket, int name, int value)
    {
        try
        {
            socket.SetRawSocketOption(SOL_UDP, name, BitConverter.GetBytes(value));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
