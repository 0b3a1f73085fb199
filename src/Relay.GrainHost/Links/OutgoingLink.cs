using System.Net.Sockets;
using Orleans.Runtime;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Serialization;
using Relay.GrainHost.Turns;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Links;

/// <summary>The way to one start of one other silo: dials when first needed and again after a loss. Safe for concurrent use.</summary>
internal sealed class OutgoingLink(SiloMember peer, ISiloTransport transport, ILocalSilo local, GrainHostOptions options, CoarseClock clock, TimeProvider time, Action<SiloMember> lost)
{
    private readonly Lock _lock = new();
    private OutgoingConnection? _connection;
    private Task<OutgoingConnection>? _dialling;
    private Exception? _closed;

    public SiloMember Peer => peer;

    public Task<TResult> CallAsync<TArguments, TResult>(
        string key, GrainMethod<TArguments, TResult> method, TArguments arguments, long deadline, int hops, CancellationToken token)
        where TArguments : struct
    {
        var call = new RemoteCall<TArguments, TResult>(method, key) { Deadline = deadline, SendsCancel = method.TakesToken };
        return _connection is { } connection && TryStart(connection, call, key, method, arguments, hops, token)
            ? call.Task
            : StartAsync(call, key, method, arguments, hops, token);
    }

    /// <summary>Whether the silo answers within the probe interval.</summary>
    public async Task<ProbeOutcome> ProbeAsync() => (await SendProbeAsync(about: null).ConfigureAwait(false)).Outcome;

    /// <summary>Whether the silo says that it has just heard another one; false also of a silo that does not know the question. Null: it does not answer within the probe interval.</summary>
    public async Task<bool?> HearsAsync(SiloMember other) =>
        await SendProbeAsync(other.Incarnation).ConfigureAwait(false) is { Outcome: ProbeOutcome.Answered, Heard: var heard } ? heard : null;

    private async Task<(ProbeOutcome Outcome, bool Heard)> SendProbeAsync(Guid? about)
    {
        try
        {
            var probe = new ProbeCall { Deadline = clock.After(options.ProbeInterval) };
            var connection = await ConnectAsync().WaitAsync(options.ProbeInterval, time).ConfigureAwait(false);
            var id = connection.Pending.Add(probe);
            var frame = FrameWriter.Begin(FrameKind.Probe, id);
            if (about is { } incarnation) incarnation.TryWriteBytes(frame.Take(16));
            if (!connection.Sender.TrySend(FrameWriter.Finish(frame)))
            {
                // A link this full carries no probe in time.
                connection.Pending.Take(id);
                return (ProbeOutcome.Silent, false);
            }

            var answered = await probe.Answered.WaitAsync(options.ProbeInterval, time).ConfigureAwait(false);
            return (answered ? ProbeOutcome.Answered : ProbeOutcome.Silent, answered && probe.Heard);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return (IsRefused(e) ? ProbeOutcome.Refused : ProbeOutcome.Silent, false);
        }
    }

    /// <summary>
    /// As <see cref="ProbeAsync"/>, and by a new connection as well: one that was cut in silence goes on waiting for its next
    /// retransmission, up to minutes, when the way has long been free again. A handshake is an answer; its connection replaces the old.
    /// </summary>
    public async Task<ProbeOutcome> ProbeAnewAsync()
    {
        var anew = DialAnewAsync();
        var probe = await ProbeAsync().ConfigureAwait(false);
        var dialled = await anew.ConfigureAwait(false);
        return probe == ProbeOutcome.Answered ? probe : dialled;
    }

    /// <summary>Tells the silo that the membership table has changed. Best effort.</summary>
    public async Task GossipAsync()
    {
        try
        {
            var connection = await ConnectAsync().ConfigureAwait(false);
            connection.Sender.TrySend(FrameWriter.Finish(FrameWriter.Begin(FrameKind.Gossip)));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It reads the table by itself before long.
        }
    }

    public void Expire(long now) => _connection?.Expire(now);

    /// <summary>The silo is gone: fails what is under way, and dials no more.</summary>
    public void Close(string why)
    {
        OutgoingConnection? connection;
        lock (_lock)
        {
            _closed ??= new IOException(why);
            connection = _connection;
        }

        connection?.Close(_closed);
    }

    private static bool TryStart<TArguments, TResult>(
        OutgoingConnection connection, RemoteCall<TArguments, TResult> call, string key, GrainMethod<TArguments, TResult> method, TArguments arguments, int hops, CancellationToken token)
        where TArguments : struct
    {
        if (connection.Ended.IsCompleted) return false;
        var id = connection.Pending.Add(call);
        try
        {
            var flags = (hops > 0 ? CallFlags.Forwarded : 0) | (method.OneWay ? CallFlags.NoAnswer : 0);
            var writer = FrameWriter.Begin(FrameKind.Call, id);
            writer.WriteByte((byte)flags);
            writer.WriteVarint((ulong)connection.TimeLeft(call.Deadline).TotalMilliseconds);
            writer.WriteFixed64(method.Id);
            writer.WriteString(key);
            method.Arguments.WriteMembers(writer, ref arguments);
            if (writer.Length - LinkWire.LengthBytes > connection.MaxFrameBytes)
                throw new LimitExceededException($"A call of {method} has {writer.Length} bytes; the limit between silos is {connection.MaxFrameBytes}.");
            if (!connection.Sender.TrySend(FrameWriter.Finish(writer)))
            {
                connection.Pending.Take(id);
                return false;
            }
        }
        catch
        {
            connection.Pending.Take(id);
            throw;
        }

        if (method.OneWay) connection.Pending.Take(id)?.CompleteEmpty();
        else if (token.CanBeCanceled) call.Register(token.UnsafeRegister(_ => connection.Cancel(id, token), null));
        return true;
    }

    private async Task<TResult> StartAsync<TArguments, TResult>(
        RemoteCall<TArguments, TResult> call, string key, GrainMethod<TArguments, TResult> method, TArguments arguments, int hops, CancellationToken token)
        where TArguments : struct
    {
        while (true)
        {
            var left = clock.Until(call.Deadline);
            if (left <= TimeSpan.Zero) throw new TimeoutException($"{method} on {key} could not be sent to {peer.Address} before its deadline.");
            var connection = await ConnectAsync().WaitAsync(left, time, token).ConfigureAwait(false);
            if (TryStart(connection, call, key, method, arguments, hops, token)) return await call.Task.ConfigureAwait(false);
            await connection.Sender.WaitForRoomAsync().WaitAsync(left, time, token).ConfigureAwait(false);
        }
    }

    private Task<OutgoingConnection> ConnectAsync()
    {
        lock (_lock)
        {
            if (_closed is not null) return Task.FromException<OutgoingConnection>(new SiloUnavailableException($"{peer.Address}: {_closed.Message}"));
            if (_connection is { } connection && !connection.Ended.IsCompleted) return Task.FromResult(connection);
            // Several callers share one attempt.
            return _dialling ??= DialAsync();
        }
    }

    private async Task<ProbeOutcome> DialAnewAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(options.ProbeInterval, time);
            var (stream, reader) = await Handshake.DialAsync(transport, local, peer, limit.Token).WaitAsync(options.ProbeInterval, time).ConfigureAwait(false);
            var connection = new OutgoingConnection(stream, reader, peer.Address, options, clock);
            OutgoingConnection? old;
            lock (_lock)
            {
                (old, _connection) = (_connection, connection);
                if (_closed is not null) connection.Close(_closed);
            }

            connection.Start();
            _ = TellOfLossAsync(connection);
            old?.Close(new IOException("it did not answer, and a new connection did"));
            return ProbeOutcome.Answered;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return IsRefused(e) ? ProbeOutcome.Refused : ProbeOutcome.Silent;
        }
    }

    private async Task<OutgoingConnection> DialAsync()
    {
        await Task.Yield();
        try
        {
            using var limit = new CancellationTokenSource(options.ConnectTimeout, time);
            var (stream, reader) = await Handshake.DialAsync(transport, local, peer, limit.Token).WaitAsync(options.ConnectTimeout, time).ConfigureAwait(false);
            var connection = new OutgoingConnection(stream, reader, peer.Address, options, clock);
            lock (_lock)
            {
                _connection = connection;
                _dialling = null;
                if (_closed is not null) connection.Close(_closed);
            }

            connection.Start();
            _ = TellOfLossAsync(connection);
            return connection;
        }
        catch (Exception e)
        {
            lock (_lock) _dialling = null;
            throw new SiloUnavailableException($"{peer.Address} cannot be reached: {(e is OperationCanceledException ? "it does not answer" : e.Message)}", e);
        }
    }

    private async Task TellOfLossAsync(OutgoingConnection connection)
    {
        await connection.Ended.ConfigureAwait(false);
        lock (_lock)
        {
            if (_closed is not null) return;
        }

        lost(peer);
    }

    // Nobody listens at that port: the machine itself says so.
    private static bool IsRefused(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is SocketException { SocketErrorCode: SocketError.ConnectionRefused }) return true;
        }

        return false;
    }

    private sealed class ProbeCall : PendingCall
    {
        private readonly TaskCompletionSource<bool> _answered = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<bool> Answered => _answered.Task;

        /// <summary>The answer says that the silo has heard the one it was asked about.</summary>
        public bool Heard { get; private set; }

        public override void Complete(ref WireReader reader)
        {
            Heard = !reader.AtEnd && reader.ReadByte() == 1;
            _answered.TrySetResult(true);
        }

        public override void CompleteEmpty() => _answered.TrySetResult(true);

        public override void Fail(Exception exception) => _answered.TrySetResult(false);

        public override void Expire() => _answered.TrySetResult(false);
    }
}

/// <summary>What came of a probe. The zero value proves nothing.</summary>
internal enum ProbeOutcome
{
    /// <summary>No answer in time: dead, frozen, cut off, or the prober is late.</summary>
    Silent = 0,

    /// <summary>The silo lives.</summary>
    Answered,

    /// <summary>The machine says that nobody listens there.</summary>
    Refused,
}
