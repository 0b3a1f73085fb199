using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Relay.Gateway.WireGuard.Native;

/// <summary>
/// Calls of the C library that the framework has no counterpart for. All return -1 on failure, with the reason in
/// <see cref="Marshal.GetLastPInvokeError"/>.
/// </summary>
internal static unsafe partial class LibC
{
    public const int EPERM = 1, EINTR = 4, EIO = 5, EAGAIN = 11, EBUSY = 16, EINVAL = 22, EMSGSIZE = 90, ENOBUFS = 105;

    public const int O_RDWR = 2, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;

    /// <summary>recvmmsg(2): wait for the first message, take what else is there.</summary>
    public const int MSG_WAITFORONE = 0x10000;

    public const short POLLIN = 1;

    /// <summary>open(2). The handle is the caller's; check <see cref="SafeHandle.IsInvalid"/>.</summary>
    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial SafeFileHandle Open(string path, int flags);

    /// <summary>ioctl(2) with a pointer.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Control(SafeHandle file, nuint request, void* argument);

    /// <summary>ioctl(2) with a number.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Control(SafeHandle file, nuint request, nuint argument);

    /// <summary>read(2): bytes read.</summary>
    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(SafeHandle file, byte* buffer, nuint length);

    /// <summary>writev(2): bytes written.</summary>
    [LibraryImport("libc", EntryPoint = "writev", SetLastError = true)]
    public static partial nint WriteVectors(SafeHandle file, IoVector* vectors, int count);

    /// <summary>poll(2): 0 when the time has passed.</summary>
    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollDescriptor* descriptors, nuint count, int timeoutMilliseconds);

    /// <summary>recvmmsg(2): messages received. The timeout is not used: SO_RCVTIMEO limits the wait.</summary>
    [LibraryImport("libc", EntryPoint = "recvmmsg", SetLastError = true)]
    public static partial int ReceiveMessages(SafeHandle socket, MultiMessage* messages, uint count, int flags, void* timeout);

    /// <summary>sendmmsg(2): messages sent, from the first on.</summary>
    [LibraryImport("libc", EntryPoint = "sendmmsg", SetLastError = true)]
    public static partial int SendMessages(SafeHandle socket, MultiMessage* messages, uint count, int flags);

    /// <summary>getsockname(2): 0. What an accepted socket's own address is; the framework would repeat its listener's.</summary>
    [LibraryImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    public static partial int GetSocketName(SafeHandle socket, byte* address, uint* length);
}

/// <summary><see cref="LibC.SendMessages"/>.</summary>
internal unsafe delegate int MessageSending(SafeHandle socket, MultiMessage* messages, uint count, int flags);

/// <summary>struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IoVector
{
    public byte* Base;
    public nuint Length;
}

/// <summary>struct pollfd.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PollDescriptor
{
    public int File;
    public short Events;
    public short Returned;
}

/// <summary>struct msghdr of 64-bit Linux, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MessageHeader
{
    public byte* Name;
    public uint NameLength;
    public IoVector* Vectors;
    public nuint VectorCount;
    public byte* Control;
    public nuint ControlLength;
    public int Flags;
}

/// <summary>struct mmsghdr: a message and how many bytes of it were received or sent.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MultiMessage
{
    public MessageHeader Header;
    public uint Length;
}
