using System.Buffers.Binary;
using System.Text;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

public sealed class AttachPreambleTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_message_reads_as_it_was_written_and_not_a_byte_more_is_taken()
    {
        var request = new AttachRequest(1, "token", Guid.NewGuid(), 7, "0.1", "häst", "linux", "ssh-ed25519 AAAA", ["root"]);
        using var stream = new MemoryStream();
        await AttachPreamble.WriteAsync(stream, request, TunnelJson.Default.AttachRequest, Cancel);
        stream.Write("PRI"u8);
        stream.Position = 0;
        var read = await AttachPreamble.ReadAsync(stream, TunnelJson.Default.AttachRequest, Cancel);
        Assert.Equal(request with { SshUsers = null }, read with { SshUsers = null });
        Assert.Equal(request.SshUsers, read.SshUsers);
        Assert.Equal('P', stream.ReadByte());
    }

    [Fact]
    public async Task Fields_of_a_later_version_are_ignored()
    {
        var read = await ReadAsync("""{"accepted":true,"epoch":3,"new_field":{"a":[1]}}""");
        Assert.True(read.Accepted);
        Assert.Equal(3, read.Epoch);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(16385u)]
    [InlineData(0x7fffffffu)]
    [InlineData(0xffffffffu)]
    public async Task A_length_out_of_bounds_is_refused_before_anything_is_allocated(uint length)
    {
        var header = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(header, length);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var reading = AttachPreamble.ReadAsync(new MemoryStream(header), TunnelJson.Default.AttachResponse, Cancel);
        Assert.True(reading.IsCompleted);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        await Assert.ThrowsAsync<AttachProtocolException>(async () => await reading);
        Assert.True(allocated < 64 * 1024, $"{allocated} bytes");
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"accepted\":1}")]
    [InlineData("{\"accepted\":true,\"epoch\":\"x\"}")]
    [InlineData("{")]
    [InlineData("\u0000\u0001")]
    public async Task What_is_not_the_message_is_refused(string json) =>
        await Assert.ThrowsAsync<AttachProtocolException>(() => ReadAsync(json));

    [Fact]
    public async Task Random_bytes_never_do_anything_but_fail()
    {
        var random = new Random(20261121);
        for (var i = 0; i < 2000; i++)
        {
            var bytes = new byte[random.Next(0, 64)];
            random.NextBytes(bytes);
            if (bytes.Length >= 4)
                bytes.AsSpan(0, 3).Clear();
            await Assert.ThrowsAsync<AttachProtocolException>(async () =>
                await AttachPreamble.ReadAsync(new MemoryStream(bytes), TunnelJson.Default.AttachRequest, Cancel));
        }
    }

    [Fact]
    public async Task A_message_too_large_is_not_sent()
    {
        using var stream = new MemoryStream();
        var goodbye = new Goodbye("code", new string('x', 20_000));
        await Assert.ThrowsAsync<ArgumentException>(async () => await AttachPreamble.WriteAsync(stream, goodbye, TunnelJson.Default.Goodbye, Cancel));
        Assert.Equal(0, stream.Length);
    }

    private static async Task<AttachResponse> ReadAsync(string json)
    {
        var bytes = Encoding.UTF8.GetBytes(json);
        var frame = new byte[4 + bytes.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, bytes.Length);
        bytes.CopyTo(frame, 4);
        return await AttachPreamble.ReadAsync(new MemoryStream(frame), TunnelJson.Default.AttachResponse, Cancel);
    }
}
