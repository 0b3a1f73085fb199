using Microsoft.Extensions.Logging;

namespace Relay.Connector.Tunnel;

/// <summary>The framework's own messages only from warnings up: an agent's log is for its operator.</summary>
internal sealed class QuietLoggers : ILoggerFactory
{
    private readonly ILoggerFactory _inner;

    private QuietLoggers(ILoggerFactory inner) => _inner = inner;

    public static ILoggerFactory For(ILoggerFactory inner) => new QuietLoggers(inner);

    public ILogger CreateLogger(string categoryName) => new Quiet(_inner.CreateLogger(categoryName));

    public void AddProvider(ILoggerProvider provider) => _inner.AddProvider(provider);

    // The inner factory is the caller's.
    public void Dispose()
    {
    }

    private sealed class Quiet(ILogger inner) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning && inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                inner.Log(logLevel, eventId, state, exception, formatter);
        }
    }
}
