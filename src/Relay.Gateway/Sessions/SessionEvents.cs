using Relay.Gateway.Grid;
using Relay.Protocol.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>
/// Reports what happens in a session to its silo. At most a few reports are under way; the next caller waits (back-pressure).
/// When the session must be recorded, a report that can not be delivered ends it (L32c). Safe for concurrent use.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "A SemaphoreSlim whose wait handle is never taken holds nothing to dispose.")]
internal sealed class SessionEvents(GatewaySession session)
{
    private const int MaxUnderWay = 8;
    private readonly SemaphoreSlim _places = new(MaxUnderWay);
    private int _sequence;

    /// <summary>Hands one event over; returns when it is under way.</summary>
    /// <param name="type">"shell", "exec", "sftp", "tcp_forwarding", … or a refused channel's type.</param>
    /// <param name="status">"denied", "done", "failed", …</param>
    public async ValueTask ReportAsync(string type, string status, params (string Key, string? Value)[] metadata)
    {
        // The number tells the order: reports travel side by side.
        var values = new Dictionary<string, string>(metadata.Length + 1) { ["seq"] = Interlocked.Increment(ref _sequence).ToString(System.Globalization.CultureInfo.InvariantCulture) };
        foreach (var (key, value) in metadata)
        {
            if (value is not null)
            {
                values[key] = value;
            }
        }

        await _places.WaitAsync();
        _ = DeliverAsync(new SessionEventRequest(type, status, values));
    }

    /// <summary>Waits until everything reported so far is delivered or given up.</summary>
    public async Task FlushAsync()
    {
        for (var i = 0; i < MaxUnderWay; i++)
        {
            await _places.WaitAsync();
        }

        _places.Release(MaxUnderWay);
    }

    private async Task DeliverAsync(SessionEventRequest request)
    {
        try
        {
            if (session.Recording.Enabled)
            {
                await Delivery.RetryForLongAsync(session, Send, Fail);
            }
            else
            {
                await Delivery.RetryAsync(session, Send);
            }
        }
        catch (GridException e) when (session.Recording.Enabled)
        {
            Fail(e);
        }
        catch (GridException)
        {
            // Nobody asked for a record of this session: the event is lost with its silo.
        }
        finally
        {
            _places.Release();
        }

        Task Send(SiloLink silo) => silo.ReportEventAsync(session.Id, request, CancellationToken.None);

        void Fail(GridException e) => session.End(new SessionEnd($"recording failed: {e.Message}", "This session has to be recorded, and an event of it could not be stored."));
    }
}
