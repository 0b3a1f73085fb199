using System.Text;
using Relay.Gateway.Ssh;

namespace Relay.Tests.Gateway.Ssh;

public sealed class PrefaceStreamTests
{
    [Theory]
    [InlineData("RELAY-1.0 db-host\r\nSSH-2.0-x\r\n", "db-host", "SSH-2.0-x\r\n")]
    [InlineData("SSH-2.0-x\r\nrest", null, "SSH-2.0-x\r\nrest")]
    [InlineData("RELAY-2.0 db-host\r\n", null, "RELAY-2.0 db-host\r\n")]
    [InlineData("R", null, "R")]
    [InlineData("", null, "")]
    public async Task The_rest_of_the_stream_is_what_followed_the_preface_however_it_is_split(string sent, string? socket, string rest)
    {
        for (var step = 1; step <= Math.Max(1, sent.Length); step++)
        {
            using var stream = new PrefaceStream(new Dripping(Encoding.ASCII.GetBytes(sent), step));
            Assert.Equal(rest, await ReadToEndAsync(stream));
            Assert.Equal(socket, stream.Socket);
        }
    }

    [Theory]
    [InlineData("RELAY-1.0 \r\n")]
    [InlineData("RELAY-1.0 db host\r\n")]
    [InlineData("RELAY-1.0 db$host\r\n")]
    public async Task A_preface_without_a_proper_socket_ends_the_connection(string sent)
    {
        using var stream = new PrefaceStream(new Dripping(Encoding.ASCII.GetBytes(sent), 3));
        await Assert.ThrowsAsync<InvalidDataException>(() => ReadToEndAsync(stream));
    }

    [Fact]
    public async Task A_preface_without_an_end_is_cut_at_256_bytes()
    {
        var inner = new Dripping(Encoding.ASCII.GetBytes("RELAY-1.0 " + new string('a', 10_000)), 100);
        using var stream = new PrefaceStream(inner);
        await Assert.ThrowsAsync<InvalidDataException>(() => ReadToEndAsync(stream));
        Assert.InRange(inner.Position, 256, 356);
    }

    private static async Task<string> ReadToEndAsync(Stream stream)
    {
        using var all = new MemoryStream();
        var buffer = new byte[7];
        int read;
        while ((read = await stream.ReadAsync(buffer, TestContext.Current.CancellationToken)) > 0)
        {
            all.Write(buffer, 0, read);
        }

        return Encoding.ASCII.GetString(all.ToArray());
    }

    /// <summary>Gives at most <paramref name="step"/> bytes per read.</summary>
    private sealed class Dripping(byte[] data, int step) : MemoryStream(data)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(step, buffer.Length)], cancellationToken);
    }
}
