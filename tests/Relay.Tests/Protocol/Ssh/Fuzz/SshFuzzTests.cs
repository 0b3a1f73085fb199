using System.Text.Json;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Ssh.Fuzz;

/// <summary>L16: the committed corpus (tests/Vectors/ssh-fuzz.json, hex by target) and mutations of it, by seed.</summary>
public sealed class SshFuzzTests
{
    private const int Mutations = 3000;

    public static TheoryData<string> Targets => [.. SshFuzzTargets.All.Keys];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Corpus_and_its_mutations_keep_the_parsers_promises(string name)
    {
        var corpus = Corpus()[name];
        Assert.NotEmpty(corpus);
        var target = SshFuzzTargets.All[name];
        foreach (var data in corpus)
            Run(target, data, data);
        var random = new Random(name.Length * 31);
        for (var i = 0; i < Mutations; i++)
        {
            var data = Mutate(random, corpus);
            Run(target, data, data);
        }
    }

    /// <summary>The connection protocol behind a real login: random good and broken payloads end that connection, at most, with PROTOCOL_ERROR.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Payloads_after_the_login(int seed)
    {
        var random = new Random(seed);
        var corpus = Corpus()["connection"];
        await using var bystander = await SshPair.ConnectAsync(cancellationToken: TestContext.Current.CancellationToken);
        var (client, server) = await bystander.OpenAsync(cancellationToken: TestContext.Current.CancellationToken);
        var ended = 0;
        for (var round = 0; round < 20; round++)
        {
            var (a, b) = MemoryDuplex.Create();
            var accepting = SshConnection.AcceptAsync(b, SshPair.ServerOptions, new TestAuthenticator(), TestContext.Current.CancellationToken).AsTask();
            var peer = new ScriptedPeer(a, SshRole.Client);
            await peer.LogInAsync();
            await using var connection = await accepting;
            var taking = Task.Run(() => TakeAllAsync(connection), TestContext.Current.CancellationToken);
            peer.Send(static writer => SshChannelMessages.Open(writer, "session", 1, 100_000, []));
            for (var i = 0; i < 60 && !connection.Closed.IsCancellationRequested; i++)
                peer.Send(random.Next(8) == 0 ? Mutate(random, corpus) : corpus[random.Next(corpus.Count)]);
            await peer.DisposeAsync();
            await connection.Completion.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            await taking;
            if (connection.Error is { Reason: SshDisconnectReason.ProtocolError })
                ended++;
            else
                Assert.Equal(SshDisconnectReason.ConnectionLost, connection.Error?.Reason ?? SshDisconnectReason.ConnectionLost);
        }

        Assert.InRange(ended, 1, 20);
        await client.WriteAsync("still here"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Equal(10, (await server.ReadAsync(TestContext.Current.CancellationToken)).Data.Length);
    }

    private static async Task TakeAllAsync(SshConnection connection)
    {
        try
        {
            await foreach (var incoming in connection.IncomingAsync())
            {
                if (incoming is SshChannelOpen open)
                    await open.AcceptAsync();
                else
                    await ((SshGlobalRequest)incoming).ReplyAsync(false);
            }
        }
        catch (SshException)
        {
            // Ended between the open and its acceptance.
        }
    }

    private static Dictionary<string, List<byte[]>> Corpus()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests/Vectors/ssh-fuzz.json")));
        return document.RootElement.EnumerateObject().ToDictionary(
            static target => target.Name,
            static target => target.Value.EnumerateArray().Select(static hex => Convert.FromHexString(hex.GetString()!)).ToList());
    }

    private static void Run(SshFuzzTargets.Target target, ReadOnlySpan<byte> data, byte[] reported)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            target(data);
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"input {Convert.ToHexStringLower(reported)}", error);
        }

        // A length taken at its word would be megabytes.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 512 * 1024);
    }

    private static byte[] Mutate(Random random, List<byte[]> corpus)
    {
        var data = corpus[random.Next(corpus.Count)].ToArray();
        for (var changes = random.Next(1, 4); changes > 0 && data.Length > 0; changes--)
        {
            var at = random.Next(data.Length);
            switch (random.Next(6))
            {
                case 0:
                    data[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    data[at] = (byte)(random.Next(2) * 255);
                    break;
                case 2:
                    data = data[..at];
                    break;
                case 3:
                    data = [.. data[..at], .. data[Math.Min(data.Length, at + random.Next(8))..]];
                    break;
                case 4:
                    data = [.. data[..at], (byte)random.Next(256), .. data[at..]];
                    break;
                default:
                    data = [.. data[..at], .. corpus[random.Next(corpus.Count)]];
                    break;
            }
        }

        return data;
    }
}
