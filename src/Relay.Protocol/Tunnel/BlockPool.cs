using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// Kestrel's buffers in blocks of 32 KiB instead of 4 KiB. Kestrel receives, decrypts and hands on block by block, so the
/// block's size decides how often the system is called and how many pieces a frame of 16 KiB falls into.
/// An idle connection holds no block. Safe for concurrent use. Caller disposes.
/// </summary>
public sealed class BlockPool : MemoryPool<byte>
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = 32 * 1024;

    // Two full windows of a stream stay; what a burst took beyond that goes back to the collector.
    private const int MaxKept = 256;

    private readonly ConcurrentQueue<Block> _free = new();
    private int _kept;
    private volatile bool _disposed;

    /// <summary>Blocks that wait to be used again.</summary>
    public int Kept => Volatile.Read(ref _kept);

    /// <inheritdoc/>
    public override int MaxBufferSize => BlockBytes;

    /// <summary>A block; disposing it gives it back.</summary>
    /// <param name="minBufferSize">Bytes wanted at least; -1: any. A block has more than asked.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than a block.</exception>
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_free.TryDequeue(out var block))
            return new Block(this);
        Interlocked.Decrement(ref _kept);
        block.Rented = 1;
        return block;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _disposed = true;
        _free.Clear();
    }

    private void Return(Block block)
    {
        if (_disposed)
            return;
        if (Interlocked.Increment(ref _kept) <= MaxKept)
            _free.Enqueue(block);
        else
            Interlocked.Decrement(ref _kept);
    }

    private sealed class Block(BlockPool pool) : IMemoryOwner<byte>
    {
        public int Rented = 1;
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(BlockBytes);

        public Memory<byte> Memory => _bytes;

        public void Dispose()
        {
            // SECURITY: a block given back twice would be two streams' at once.
            if (Interlocked.Exchange(ref Rented, 0) == 1)
                pool.Return(this);
        }
    }
}

/// <summary>Gives Kestrel <see cref="BlockPool"/>s; registered as a service of the web host.</summary>
public sealed class BlockPoolFactory : IMemoryPoolFactory<byte>
{
    /// <inheritdoc/>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new BlockPool();
}
