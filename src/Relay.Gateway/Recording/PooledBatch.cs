using System.Buffers;

namespace Relay.Gateway.Recording;

/// <summary>A growing buffer from the shared pool. Holds no memory while empty, so an idle recording costs none. Not thread-safe.</summary>
internal sealed class PooledBatch : IBufferWriter<byte>, IDisposable
{
    private byte[] _buffer = [];

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, Length);

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(Length);
    }

    /// <summary>Empties the batch and gives its buffer back, wiped: it held what a user saw or typed.</summary>
    public void Dispose()
    {
        if (_buffer.Length > 0)
        {
            _buffer.AsSpan(0, Length).Clear();
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        (_buffer, Length) = ([], 0);
    }

    private void Reserve(int free)
    {
        if (_buffer.Length - Length >= free)
        {
            return;
        }

        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(4096, Math.Max(Length + free, Length * 2)));
        _buffer.AsSpan(0, Length).CopyTo(larger);
        if (_buffer.Length > 0)
        {
            _buffer.AsSpan(0, Length).Clear();
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = larger;
    }
}
