using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.Connector;
using Relay.Connector.Configuration;

namespace Relay.Tests.Silo.Connectors;

/// <summary>A whole agent, running in this process.</summary>
internal sealed class TestAgent : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();

    private TestAgent(Task<int> exit, LogLines log)
    {
        Exit = exit;
        Log = log;
    }

    /// <summary>The exit code, once it has ended.</summary>
    public Task<int> Exit { get; }

    public LogLines Log { get; }

    public static TestAgent Start(string token, params string[] servers) => Start(token, null, servers);

    public static TestAgent Start(string token, IBuiltInSshService? ssh, params string[] servers)
    {
        var log = new LogLines();
        var agent = new CancellationTokenSource();
        var options = new ConnectorOptions { Token = token, TokenSource = "test", Servers = servers, DrainLimit = TimeSpan.FromSeconds(20), MaxRetryDelay = TimeSpan.FromMilliseconds(500) };
        var started = new TestAgent(Task.FromResult(0), log);
        return new TestAgent(Task.Run(() => RelayConnector.RunAsync(options, ssh, log, TimeProvider.System, started._stop.Token)), log) { StopSource = started._stop };
    }

    private CancellationTokenSource? StopSource { get; init; }

    public Task<int> StopAsync()
    {
        (StopSource ?? _stop).Cancel();
        return Exit;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().WaitAsync(TimeSpan.FromMinutes(2));
        _stop.Dispose();
    }
}

/// <summary>Keeps log lines with their fields, as "level message key=value …".</summary>
internal sealed class LogLines : ILoggerFactory, ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();

    public string[] Lines => [.. _lines];

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        var fields = state is IReadOnlyList<KeyValuePair<string, object?>> pairs ? string.Join(' ', pairs.Where(p => p.Key != "{OriginalFormat}").Select(p => $"{p.Key}={p.Value}")) : "";
        _lines.Enqueue($"{logLevel} {formatter(state, exception)} {fields} {exception}".Trim());
    }
}
