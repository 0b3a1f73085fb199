using System.Runtime.InteropServices;

namespace Relay.Gateway.WireGuard.Native;

/// <summary>Memory outside the collector's heap, for the kernel to read and write; zeroed at first. Caller disposes, when no call uses it.</summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private byte* _start;

    public NativeBuffer(int length)
    {
        Length = length;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)length, 4096);
        NativeMemory.Clear(_start, (nuint)length);
    }

    ~NativeBuffer() => Free();

    public int Length { get; }

    public byte* Start => _start;

    public Span<byte> Slice(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)(Length - offset));
        return new Span<byte>(_start + offset, length);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_start);
        _start = null;
    }
}
