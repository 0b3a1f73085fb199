using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Several grain hosts in this process, linked through memory. Silos can be cut off and killed.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, TestSilo> _silos = new();
    private readonly ConcurrentDictionary<string, byte> _cut = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _frozen = new();
    private readonly ConcurrentQueue<(string From, string To, Stream Stream)> _links = new();

    // What a busy machine may take for what takes no time on an idle one. Not for manual time, where a test says what passes.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    public TestCluster(TimeProvider? time = null, IMembershipTable? table = null)
    {
        Time = time ?? TimeProvider.System;
        Table = table ?? new InMemoryMembershipTable(Time);
    }

    public TimeProvider Time { get; }

    public IMembershipTable Table { get; }

    /// <summary>What every new silo gets besides the defaults.</summary>
    public Action<GrainHostOptions> Configure { get; set; } = _ => { };

    /// <summary>Standing still for less does not count: the machine may, in tests of something else.</summary>
    public TimeSpan SuspiciousPause { get; set; } = TimeSpan.FromHours(1);

    public IEnumerable<TestSilo> Silos => _silos.Values;

    public async Task<TestSilo> StartAsync(string name = "one")
    {
        var silo = Create(name);
        await silo.Host.StartAsync(CancellationToken.None);
        return silo;
    }

    /// <summary>Starts them one after the other and waits until each sees all.</summary>
    public async Task<TestSilo[]> StartAsync(params string[] names)
    {
        var silos = new List<TestSilo>();
        foreach (var name in names) silos.Add(await StartAsync(name));
        foreach (var silo in silos) await silo.Host.Membership.RefreshAsync(CancellationToken.None);
        return [.. silos];
    }

    public TestSilo Create(string name)
    {
        var options = new GrainHostOptions { Address = $"{name}:1", Name = name, GrainAssemblies = { typeof(TestCluster).Assembly } };
        if (Time is not ManualTimeProvider)
            (options.CallTimeout, options.ActivationTimeout, options.DeactivationTimeout, options.StopTimeout, options.ConnectTimeout) = (s_patience, s_patience, s_patience, s_patience, s_patience);
        Configure(options);
        var services = new ServiceCollection().AddSingleton(Time).AddSingleton<TestJournal>().AddSingleton<ILocalSiloName>(new LocalSiloName(name)).BuildServiceProvider();
        var silo = new TestSilo(
            name,
            new GrainSilo(options, Table, new Network(this, name), services, Time, NullLogger<GrainSilo>.Instance) { SuspiciousPause = SuspiciousPause },
            services.GetRequiredService<TestJournal>());
        _silos[name] = silo;
        return silo;
    }

    /// <summary>No links from or to the silo any more.</summary>
    public void Cut(string name)
    {
        _cut[name] = 0;
        foreach (var (from, to, stream) in _links)
        {
            if (from == name || to == name) stream.Dispose();
        }
    }

    /// <summary>The silo hears nothing from its links, without losing them.</summary>
    public void Freeze(string name) => _frozen[name] = new TaskCompletionSource();

    public void Thaw(string name)
    {
        if (_frozen.TryRemove(name, out var frozen)) frozen.SetResult();
    }

    /// <summary>Neither of the two hears the other any more, without losing their links; the others hear both.</summary>
    public void CutPair(string one, string other)
    {
        _cut[$"{one} {other}"] = _cut[$"{other} {one}"] = 0;
        Freeze($"{one} {other}");
        Freeze($"{other} {one}");
    }

    public void Mend(string name) => _cut.TryRemove(name, out _);

    /// <summary>The silo is gone without a farewell.</summary>
    public async Task KillAsync(TestSilo silo)
    {
        // Its port is closed before its connections are: whoever dials anew when he has lost one is refused.
        _silos.TryRemove(silo.Name, out _);
        Cut(silo.Name);
        await silo.Host.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in _frozen.Keys) Thaw(name);
        foreach (var silo in _silos.Values) await silo.Host.DisposeAsync();
    }

    private Task PauseOf(string name) => _frozen.TryGetValue(name, out var frozen) ? frozen.Task : Task.CompletedTask;

    private sealed class Network(TestCluster cluster, string from) : ISiloTransport
    {
        public ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken)
        {
            var to = siloAddress[..siloAddress.IndexOf(':', StringComparison.Ordinal)];
            if (!cluster._silos.TryGetValue(to, out var target))
                throw new IOException($"Nobody listens at {to}.", new SocketException((int)SocketError.ConnectionRefused));
            var (one, other) = MemoryDuplex.Create();
            one.Pause = () => Task.WhenAll(cluster.PauseOf(from), cluster.PauseOf($"{to} {from}"));
            other.Pause = () => Task.WhenAll(cluster.PauseOf(to), cluster.PauseOf($"{from} {to}"));
            // Known before it is looked whether there is a cut: the link is seen by one that comes meanwhile.
            cluster._links.Enqueue((from, to, one));
            if (cluster._cut.ContainsKey($"{from} {to}") || cluster._cut.ContainsKey(from) || cluster._cut.ContainsKey(to))
            {
                one.Dispose();
                throw new IOException($"{to} is unreachable.");
            }

            _ = target.Host.AcceptAsync(other, from, CancellationToken.None);
            return new ValueTask<Stream>(one);
        }
    }
}

/// <summary>One of them.</summary>
internal sealed record TestSilo(string Name, GrainSilo Host, TestJournal Journal)
{
    public IGrainFactory Grains => Host.GrainFactory;
}

/// <summary>What the grains of one silo did, for tests to see.</summary>
internal sealed class TestJournal
{
    public ConcurrentQueue<string> Lines { get; } = new();
}
