using System.Net;
using Relay.Gateway.Devices;
using Relay.Gateway.Grid;
using Relay.Gateway.Sessions;
using Relay.Protocol.Grid;

namespace Relay.Tests.Gateway;

/// <summary>What is left of a session when no silo answers for a while, or for long.</summary>
public sealed class DeliveryTests : IDisposable
{
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(400);

    private readonly ManualTimeProvider _time = new();
    private readonly SiloLink _own;
    private readonly SiloLink _other;
    private readonly FlowSession _session;
    private readonly List<string> _asked = [];
    private readonly List<string> _late = [];

    public DeliveryTests()
    {
        (_own, _other) = (Link("own.test:1"), Link("other.test:1"));
        _session = new FlowSession(_own, new Others(_other), new OpenFlowResponse(true, Guid.NewGuid(), "tcp", Guid.NewGuid(), "pg"), _time);
        SiloLink Link(string address) => new(address, () => throw new InvalidOperationException("Nobody is dialled here."), _time);
    }

    public void Dispose()
    {
        _own.Dispose();
        _other.Dispose();
    }

    [Fact]
    public async Task Its_session_ends_after_ten_seconds_and_the_record_arrives_when_a_silo_is_back()
    {
        var back = _time.GetUtcNow() + TimeSpan.FromMinutes(4);
        var sending = Delivery.RetryForLongAsync(_session, silo => SendAsync(silo, _time.GetUtcNow() >= back && silo == _other ? null : Away()), e => _late.Add($"{_time.GetUtcNow():mm:ss} {e.Message}"));
        await Eventually.TrueAsync(() => sending.IsCompleted, _time, s_step, "it has arrived");
        await sending;
        Assert.Equal("other.test:1", _asked[^1]);
        // Between the limit and the next try after it.
        Assert.Matches("^00:1[0-2] nobody there$", Assert.Single(_late));
        Assert.True(_time.GetUtcNow() < back + TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task Nobody_is_asked_for_ever()
    {
        var begin = _time.GetUtcNow();
        var sending = Delivery.RetryForLongAsync(_session, silo => SendAsync(silo, Away()), e => _late.Add(e.Message));
        await Eventually.TrueAsync(() => sending.IsCompleted, _time, s_step, "it is given up");
        Assert.Equal("nobody there", (await Assert.ThrowsAsync<GridException>(() => sending)).Message);
        Assert.InRange(_time.GetUtcNow() - begin, Delivery.LongLimit, Delivery.LongLimit + TimeSpan.FromSeconds(5));
        Assert.Single(_late);
    }

    [Fact]
    public async Task What_nobody_must_wait_for_is_given_up_after_ten_seconds()
    {
        var begin = _time.GetUtcNow();
        var sending = Delivery.RetryAsync(_session, silo => SendAsync(silo, Away()));
        await Eventually.TrueAsync(() => sending.IsCompleted, _time, s_step, "it is given up");
        await Assert.ThrowsAsync<GridException>(() => sending);
        Assert.InRange(_time.GetUtcNow() - begin, Delivery.Limit, Delivery.Limit + TimeSpan.FromSeconds(5));
    }

    [Theory]
    [InlineData(HttpStatusCode.UnprocessableEntity, 1)]
    [InlineData(HttpStatusCode.InsufficientStorage, 3)]
    public async Task A_refusal_and_a_full_disk_are_not_waited_out(HttpStatusCode status, int asked)
    {
        var sending = Delivery.RetryForLongAsync(_session, silo => SendAsync(silo, new GridException("no", status, "no")), e => _late.Add(e.Message));
        await Eventually.TrueAsync(() => sending.IsCompleted, _time, s_step, "it is given up");
        await Assert.ThrowsAsync<GridException>(() => sending);
        Assert.Equal(asked, _asked.Count);
        Assert.Empty(_late);
    }

    private static GridException Away() => new("nobody there", null, "unreachable");

    private Task SendAsync(SiloLink silo, GridException? failure)
    {
        _asked.Add(silo.Address);
        return failure is null ? Task.CompletedTask : Task.FromException(failure);
    }

    private sealed class Others(SiloLink other) : ISiloFallback
    {
        public IEnumerable<SiloLink> Besides(SiloLink own) => [other];
    }
}
