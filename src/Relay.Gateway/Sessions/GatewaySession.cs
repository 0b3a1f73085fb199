using Relay.Gateway.Grid;
using Relay.Gateway.Ssh;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>A session over SSH: one proven user's connection to one socket, with its channels. Safe for concurrent use.</summary>
internal sealed class GatewaySession : SiloSession
{
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _recordings;

    public GatewaySession(SiloLink silo, ISiloFallback fallback, LoginName login, OpenSessionResponse opened, TimeProvider time)
        : base(opened.SessionId, silo, fallback, opened.EndsAt, time)
    {
        Login = login;
        Upstream = opened.Upstream ?? throw new ArgumentException("A session needs an upstream.", nameof(opened));
        Recording = opened.Recording ?? new RecordingSettings(Enabled: false, Input: false);
        Events = new SessionEvents(this);
    }

    public LoginName Login { get; }

    public SshUpstream Upstream { get; }

    public RecordingSettings Recording { get; }

    public SessionEvents Events { get; }

    /// <summary>Over when the user has been told why the session ended, or needs no telling.</summary>
    public Task Told => _told.Task;

    /// <summary>Nothing to log in to: each of the user's connections is a stream of its own to the target.</summary>
    public bool IsRaw => Upstream.Kind == SshUpstream.Tcp;

    /// <summary>"ubuntu@db-host", for titles and texts.</summary>
    public string Title => Upstream.Username.Length > 0 ? $"{Upstream.Username}@{Login.Socket}" : Login.Socket;

    /// <summary>The next recording's number.</summary>
    public int NextRecording() => Interlocked.Increment(ref _recordings) - 1;

    /// <summary>See <see cref="Told"/>.</summary>
    public void SetTold() => _told.TrySetResult();
}
