using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Transport;

internal sealed class TransportPair : IDisposable
{
    private readonly Random? _split;

    public TransportPair(
        Func<SshTransportOptions, SshTransportOptions>? client = null,
        Func<SshTransportOptions, SshTransportOptions>? server = null,
        Random? split = null)
    {
        Client = new(client is null ? ClientOptions : client(ClientOptions));
        Server = new(server is null ? ServerOptions : server(ServerOptions));
        _split = split;
    }

    public static SshTransportOptions ClientOptions { get; } = new() { Role = SshRole.Client };

    public static SshTransportOptions ServerOptions { get; } = new() { Role = SshRole.Server, HostKeys = [TestKeys.Host] };

    public SshTransport Client { get; }

    public SshTransport Server { get; }

    public TimeSpan Now { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The client's identification was sent by the test.</summary>
    public bool SkipIdentification { get; set; }

    /// <summary>Payloads that reached the upper layer.</summary>
    public List<byte[]> ToServer { get; } = [];

    /// <summary>The last payload of any kind that the client received.</summary>
    public byte[] LastToClient { get; private set; } = [];

    /// <summary>Gives bytes to one side; returns what is for its upper layer.</summary>
    public static List<byte[]> Feed(SshTransport transport, byte[] bytes, TimeSpan now, Random? split = null, Action<byte[]>? seen = null)
    {
        var upper = new List<byte[]>();
        var input = new List<byte>();
        var offset = 0;
        while (true)
        {
            var buffer = input.ToArray();
            var result = transport.Read(buffer, out var consumed, out var start, out var length, out _);
            if (result == SshReadResult.NeedMore)
            {
                Assert.Equal(0, consumed);
                if (offset == bytes.Length)
                {
                    Assert.Empty(input);
                    return upper;
                }

                var count = split is null ? bytes.Length - offset : Math.Min(bytes.Length - offset, split.Next(1, 50));
                input.AddRange(bytes.AsSpan(offset, count));
                offset += count;
                continue;
            }

            input.RemoveRange(0, consumed);
            if (result != SshReadResult.Packet)
                continue;
            var payload = buffer[start..(start + length)];
            seen?.Invoke(payload);
            var handled = transport.Handle(payload, now);
            if (handled == SshHandled.Upper)
                upper.Add(payload);
            else if (handled == SshHandled.VerifyHostKey)
                transport.AcceptHostKey();
        }
    }

    /// <summary>Identification and key exchange.</summary>
    public void Shake()
    {
        if (Client.Writer.Pending == 0)
            Client.Start(Now);
        else if (SkipIdentification)
            StartWithoutIdentification();
        Server.Start(Now);
        Run();
    }

    /// <summary>Key exchange, and both sides taken as authenticated.</summary>
    public void Connect()
    {
        Shake();
        foreach (var side in new[] { Client, Server })
        {
            side.EnterAuthentication();
            side.EnterConnected();
        }
    }

    /// <summary>Carries bytes until both sides are silent.</summary>
    public void Run()
    {
        while (Client.Writer.Pending > 0 || Server.Writer.Pending > 0)
        {
            ToServer.AddRange(Pump(Client, Server));
            Pump(Server, Client);
        }
    }

    public List<byte[]> Pump(SshTransport from, SshTransport to)
    {
        if (from.Writer.Pending == 0)
            return [];
        return Feed(to, from.Writer.Take().ToArray(), Now, _split, payload =>
        {
            if (to == Client)
                LastToClient = payload;
        });
    }

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
    }

    private void StartWithoutIdentification()
    {
        // Start writes identification and KEXINIT: the identification went out before, so it is cut out.
        var before = Client.Writer.Take().ToArray();
        Client.Start(Now);
        var all = Client.Writer.Take().ToArray();
        Client.Writer.WriteRaw(before);
        Client.Writer.WriteRaw(all.AsSpan(Client.LocalVersion.Length + 2));
    }
}
