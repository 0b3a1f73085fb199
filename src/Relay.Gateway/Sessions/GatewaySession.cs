using Relay.Gateway.Grid;
using Relay.Gateway.Proxy;
using Relay.Gateway.Ssh;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>
/// One session: one proven user's connection to one socket, as the silo that opened it knows it. The first reason to end wins.
/// Safe for concurrent use.
/// </summary>
internal sealed class GatewaySession : IByteCounter
{
    private readonly TaskCompletionSource<SessionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _bytesUp;
    private long _bytesDown;
    private int _recordings;

    public GatewaySession(SiloLink silo, ISiloFallback fallback, LoginName login, OpenSessionResponse opened, TimeProvider time)
    {
        (Silo, Fallback, Login, Time) = (silo, fallback, login, time);
        Id = opened.SessionId;
        Upstream = opened.Upstream ?? throw new ArgumentException("A session needs an upstream.", nameof(opened));
        Recording = opened.Recording ?? new RecordingSettings(Enabled: false, Input: false);
        EndsAt = opened.EndsAt;
        Events = new SessionEvents(this);
    }

    public Guid Id { get; }

    /// <summary>The silo that opened it: the only one to be asked about it.</summary>
    public SiloLink Silo { get; }

    /// <summary>Who takes its records when <see cref="Silo"/> does not.</summary>
    public ISiloFallback Fallback { get; }

    public LoginName Login { get; }

    public SshUpstream Upstream { get; }

    public RecordingSettings Recording { get; }

    /// <summary>When policy ends it; null: no limit.</summary>
    public DateTimeOffset? EndsAt { get; }

    public TimeProvider Time { get; }

    public SessionEvents Events { get; }

    /// <summary>Completes with the reason as soon as something ends the session; never faults.</summary>
    public Task<SessionEnd> Ended => _ended.Task;

    /// <summary>Over when the user has been told why the session ended, or needs no telling.</summary>
    public Task Told => _told.Task;

    /// <summary>Payload from the user, over all channels.</summary>
    public long BytesUp => Interlocked.Read(ref _bytesUp);

    /// <summary>Payload to the user, over all channels.</summary>
    public long BytesDown => Interlocked.Read(ref _bytesDown);

    /// <summary>Nothing to log in to: each of the user's connections is a stream of its own to the target.</summary>
    public bool IsRaw => Upstream.Kind == SshUpstream.Tcp;

    /// <summary>"ubuntu@db-host", for titles and texts.</summary>
    public string Title => Upstream.Username.Length > 0 ? $"{Upstream.Username}@{Login.Socket}" : Login.Socket;

    public void AddUp(long bytes) => Interlocked.Add(ref _bytesUp, bytes);

    public void AddDown(long bytes) => Interlocked.Add(ref _bytesDown, bytes);

    /// <summary>The next recording's number.</summary>
    public int NextRecording() => Interlocked.Increment(ref _recordings) - 1;

    /// <summary>Begins the end; whoever runs the session does the rest. Only the first call counts.</summary>
    public void End(SessionEnd end) => _ended.TrySetResult(end);

    /// <summary>See <see cref="Told"/>.</summary>
    public void SetTold() => _told.TrySetResult();
}
