using Microsoft.Extensions.Logging;
using Relay.Connector.Configuration;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Connector;

/// <summary>
/// The agent: keeps one tunnel to the nearest silo, serves streams to targets on it, and never gives up unless trying again
/// cannot help (<see cref="AttachCodes.IsFatal"/>).
/// </summary>
public sealed partial class RelayConnector
{
    private static readonly TimeSpan DialDeadline = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SettledAfter = TimeSpan.FromSeconds(10);

    private readonly ConnectorOptions _options;
    private readonly ConnectorToken _token;
    private readonly IBuiltInSshService? _ssh;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger<RelayConnector> _logger;
    private readonly TimeProvider _time;
    private readonly EpochGate _epochs = new();
    private readonly BootClock _clock;
    private long _attempts;
    private readonly Guid _instance = Guid.NewGuid();
    private bool _wasConnected;

    private RelayConnector(ConnectorOptions options, ConnectorToken token, IBuiltInSshService? ssh, ILoggerFactory loggers, TimeProvider time)
    {
        _options = options;
        _token = token;
        _ssh = ssh;
        _loggers = loggers;
        _logger = loggers.CreateLogger<RelayConnector>();
        _time = time;
        _clock = new BootClock(time);
        _choice = new SiloChoice(new SiloChoiceOptions { Region = options.Region, Interval = options.MeasureInterval, Wins = 3 }, time);
        _choice.Seed(options.Servers.Count > 0 ? options.Servers : token.Silos);
    }

    /// <summary>Reads the configuration and runs until stopped.</summary>
    /// <param name="flags">The command line.</param>
    /// <param name="ssh">The built-in SSH service; null: not offered.</param>
    /// <param name="loggers">Where the log lines go.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">Asks for an orderly stop: open streams may finish.</param>
    /// <returns>See <see cref="ConnectorExitCode"/>; why it is not 0 has been logged.</returns>
    public static async Task<int> RunAsync(ConnectorFlags flags, IBuiltInSshService? ssh, ILoggerFactory loggers, TimeProvider time, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(loggers);
        try
        {
            return await RunAsync(ConnectorOptionsReader.Read(flags, Environment.GetEnvironmentVariable), ssh, loggers, time, stop);
        }
        catch (ConnectorConfigurationException e)
        {
            var logger = loggers.CreateLogger<RelayConnector>();
            if (e.PlacesTried.Count > 0)
                LogNoToken(logger, e.Message, e.PlacesTried);
            else
                LogFatal(logger, e.Message, e.ExitCode);
            return e.ExitCode;
        }
    }

    /// <summary>Runs until stopped.</summary>
    /// <param name="options">Token and settings.</param>
    /// <param name="ssh">The built-in SSH service; null: not offered.</param>
    /// <param name="loggers">Where the log lines go.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">Asks for an orderly stop: open streams may finish.</param>
    /// <returns>See <see cref="ConnectorExitCode"/>; why it is not 0 has been logged.</returns>
    public static async Task<int> RunAsync(ConnectorOptions options, IBuiltInSshService? ssh, ILoggerFactory loggers, TimeProvider time, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggers);
        ConnectorToken token;
        try
        {
            token = ConnectorToken.Read(options);
        }
        catch (ConnectorConfigurationException e)
        {
            LogFatal(loggers.CreateLogger<RelayConnector>(), e.Message, e.ExitCode);
            return e.ExitCode;
        }

        return await new RelayConnector(options, token, ssh, loggers, time).RunAsync(stop);
    }

    private async Task<int> RunAsync(CancellationToken stop)
    {
        LogStarting(AgentFacts.Version, _token.ConnectorId, _options.TokenSource);
        await using var server = new TunnelServer(new TunnelRoutes(_epochs, _clock, new TargetDialler(TunnelWire.DialDeadline, _time), _ssh, _time, _loggers), _loggers);
        await server.StartAsync(stop);
        LogServing();
        var dialler = new SiloDialler(_token.AuthorityPin, DialDeadline, _time);
        using var stopMeter = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var meter = new SiloMeter(_choice, _time).RunAsync(() => _attachedAt, Nudge, stopMeter.Token);
        try
        {
            return await KeepConnectedAsync(server, dialler, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            LogStopping();
            await server.DrainAsync(_options.DrainLimit, _time);
            LogStopped();
            return ConnectorExitCode.Ok;
        }
        finally
        {
            await stopMeter.CancelAsync();
            await meter;
        }
    }

    private async Task<(Attachment? Attachment, AttachResponse? Refusal)> AttachAsync(DialledSilo silo, CancellationToken stop)
    {
        using var late = new CancellationTokenSource(TunnelWire.AttachDeadline + TunnelWire.ProbeDeadline, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stop);
        AttachResponse? answer = null;
        var known = false;
        _epochs.Ask();
        try
        {
            var request = AgentFacts.Request(_options.Token, _instance, _epochs.Highest, _ssh, _clock, ++_attempts);
            await AttachPreamble.WriteAsync(silo.Stream, request, TunnelJson.Default.AttachRequest, both.Token);
            answer = await AttachPreamble.ReadAsync(silo.Stream, TunnelJson.Default.AttachResponse, both.Token);
            known = !answer.Accepted;

            // A silo that hands out an epoch that is over is one that was cut off: not to be believed.
            if (answer.Accepted && answer.Epoch > 0 && _epochs.Admit(answer.Epoch))
            {
                known = true;
                return (new Attachment(silo.Server, answer), null);
            }
        }
        catch (Exception e) when (e is IOException || (e is OperationCanceledException && !stop.IsCancellationRequested))
        {
            LogAttachFailed(silo.Server, e.Message);
        }
        catch
        {
            await silo.Stream.DisposeAsync();
            throw;
        }
        finally
        {
            _epochs.Settle(known);
        }

        await silo.Stream.DisposeAsync();
        return (null, answer);
    }

    private static int? FatalCode(string? code) => code switch
    {
        AttachCodes.TokenMalformed => ConnectorExitCode.TokenMalformed,
        AttachCodes.TokenForeign => ConnectorExitCode.TokenForeign,
        AttachCodes.TokenExpired => ConnectorExitCode.TokenExpired,
        AttachCodes.TokenRevoked => ConnectorExitCode.TokenRevoked,
        AttachCodes.ConnectorDeleted => ConnectorExitCode.ConnectorDeleted,
        AttachCodes.AlreadyConnected => ConnectorExitCode.AlreadyConnected,
        AttachCodes.ProtocolVersion => ConnectorExitCode.ProtocolVersion,
        _ => null,
    };
}
