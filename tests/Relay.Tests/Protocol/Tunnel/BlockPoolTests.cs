using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

public sealed class BlockPoolTests
{
    [Fact]
    public void A_block_is_used_again()
    {
        using var pool = new BlockPool();
        var first = pool.Rent(4096);
        Assert.Equal(BlockPool.BlockBytes, first.Memory.Length);
        first.Dispose();
        Assert.Equal(1, pool.Kept);
        Assert.Same(first, pool.Rent());
        Assert.Equal(0, pool.Kept);
    }

    [Fact]
    public void A_block_given_back_twice_is_nobody_elses()
    {
        using var pool = new BlockPool();
        var block = pool.Rent();
        block.Dispose();
        block.Dispose();
        Assert.Equal(1, pool.Kept);
        Assert.NotSame(pool.Rent(), pool.Rent());
    }

    [Fact]
    public void What_a_burst_took_is_not_kept_for_ever()
    {
        using var pool = new BlockPool();
        var burst = Enumerable.Range(0, 1000).Select(_ => pool.Rent()).ToArray();
        foreach (var block in burst)
            block.Dispose();
        Assert.Equal(256, pool.Kept);
    }

    [Fact]
    public void More_than_a_block_is_not_to_be_had()
    {
        using var pool = new BlockPool();
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(BlockPool.BlockBytes + 1));
    }

    [Fact]
    public void A_block_that_outlives_its_pool_is_dropped()
    {
        var pool = new BlockPool();
        var block = pool.Rent();
        pool.Dispose();
        block.Dispose();
        Assert.Equal(0, pool.Kept);
        Assert.Throws<ObjectDisposedException>(() => pool.Rent());
    }
}
