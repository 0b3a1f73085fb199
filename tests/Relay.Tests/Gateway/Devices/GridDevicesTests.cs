using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Gateway.Devices;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;
using Relay.TestKit;

namespace Relay.Tests.Gateway.Devices;

/// <summary>Which devices there are, whatever happens to the silos that tell of them.</summary>
public sealed class GridDevicesTests
{
    [Fact]
    public async Task Pages_are_one_complete_list_changes_follow_and_each_stream_begins_anew()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        var (one, two, unreadable) = (Device(), Device(preshared: true), Device() with { PublicKey = "short" });
        host.Silo.Devices = [new("device_page", [one]), new("ping"), new("something new"), new("devices_complete", [two, unreadable])];
        var devices = new GridDevices(host.Gateway.Silos, TimeProvider.System, NullLogger<GridDevices>.Instance);
        await using var changes = devices.WatchAsync(GatewayHost.Deadline).GetAsyncEnumerator(GatewayHost.Deadline);

        var complete = await NextAsync(changes);
        Assert.Equal((true, 2, 0), (complete.IsComplete, complete.Present.Count, complete.Removed.Count));
        Assert.Equal([one.DeviceId, two.DeviceId], complete.Present.Select(d => d.Id));
        Assert.Equal((one.UserId, one.PublicKey, string.Join(' ', one.Addresses), DateTimeOffset.MaxValue), (complete.Present[0].UserId, complete.Present[0].PublicKey.ToString(), string.Join(' ', complete.Present[0].Addresses), complete.Present[0].LoginValidUntil));
        Assert.Equal(two.PresharedKey, Convert.ToBase64String(complete.Present[1].PresharedKey.Span));

        var until = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);
        host.Silo.Tell(new DevicesMessage("devices_changed", [one with { LoginValidUntil = until }], [two.DeviceId]));
        var changed = await NextAsync(changes);
        Assert.Equal((false, until, two.DeviceId), (changed.IsComplete, Assert.Single(changed.Present).LoginValidUntil, Assert.Single(changed.Removed)));

        // Whatever was said while nobody listened is in the next complete list.
        host.Silo.Devices = [new("devices_complete", [two])];
        host.Silo.DropDeviceStreams();
        Assert.Equal([two.DeviceId], (await NextAsync(changes)).Present.Select(d => d.Id));

        // What comes in an order that makes no sense ends the stream: a new one begins.
        host.Silo.Devices = [new("devices_complete", [one])];
        host.Silo.Tell(new DevicesMessage("device_page", [two]));
        var anew = await NextAsync(changes);
        Assert.True(anew.IsComplete);
        Assert.Equal([one.DeviceId], anew.Present.Select(d => d.Id));
    }

    [Fact]
    public async Task Another_silo_tells_when_the_first_is_gone_or_of_an_older_version_and_without_any_they_stay_for_ten_minutes()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        await using var second = await ScriptedSilo.StartAsync(host.Silo.Authority, host.Silo.HostKey);
        host.Silo.Announce(new SiloAnnouncements(1, [.. new[] { host.Silo, second }.Select(s => new SiloAnnouncement(s.Address, s.Address, "", SiloAnnouncement.Active, 3600))]));
        await GatewayHost.UntilAsync(() => host.Gateway.Silos.Answering().Count == 2);
        var (one, two) = (Device(), Device());
        // The first knows no such route.
        second.Devices = [new("devices_complete", [two])];
        var time = new ManualTimeProvider();
        var devices = new GridDevices(host.Gateway.Silos, time, NullLogger<GridDevices>.Instance);
        await using var changes = devices.WatchAsync(GatewayHost.Deadline).GetAsyncEnumerator(GatewayHost.Deadline);
        Assert.Equal([two.DeviceId], (await NextAsync(changes)).Present.Select(d => d.Id));

        host.Silo.Devices = [new("devices_complete", [one])];
        await second.DisposeAsync();
        var moved = NextAsync(changes);
        await Eventually.TrueAsync(
            () =>
            {
                // Slowly: no more than a moment passes between what is heard and what is seen here.
                time.Advance(TimeSpan.FromMilliseconds(100));
                return moved.IsCompleted;
            },
            "the first silo tells of devices");
        Assert.Equal([one.DeviceId], (await moved).Present.Select(d => d.Id));

        var lost = time.GetUtcNow();
        await host.Silo.DisposeAsync();
        var gone = NextAsync(changes);
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(20));
                return gone.IsCompleted;
            },
            "there are no devices any more");
        Assert.Equal((true, 0), ((await gone).IsComplete, (await gone).Present.Count));
        Assert.True(time.GetUtcNow() - lost >= GridDevices.Outlives);
    }

    [Fact]
    public async Task A_report_says_what_is_new_and_what_was_not_taken_is_told_again()
    {
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        var (one, two, tunnel) = (Guid.NewGuid(), Guid.NewGuid(), new object());
        var at = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        Relay.Gateway.WireGuard.DeviceCounters[] heard = [new(one, tunnel, "192.0.2.1:1", at, 10, 20), new(two, tunnel, "192.0.2.2:2", at, 1, 2)];
        var reporter = new DeviceReporter(host.Gateway.Silos, () => heard, TimeProvider.System, NullLogger<DeviceReporter>.Instance);
        await reporter.ReportAsync(GatewayHost.Deadline);
        Assert.Equal([new DeviceReport(one, "192.0.2.1:1", at, 10, 20), new DeviceReport(two, "192.0.2.2:2", at, 1, 2)], Taken(host.Silo));

        // Nothing new: nothing is said. Then one has moved on, and no silo takes it.
        await reporter.ReportAsync(GatewayHost.Deadline);
        Assert.Empty(host.Silo.Reports);
        host.Silo.ReportStatus = 503;
        heard = [heard[0] with { BytesUp = 15 }, heard[1]];
        await reporter.ReportAsync(GatewayHost.Deadline);
        host.Silo.ReportStatus = 0;
        heard = [heard[0] with { BytesUp = 17, Endpoint = "192.0.2.3:3" }, heard[1]];
        await reporter.ReportAsync(GatewayHost.Deadline);
        Assert.Equal([new DeviceReport(one, "192.0.2.3:3", at, 7, 0)], Taken(host.Silo));

        // Another tunnel of the same device counts from zero.
        heard = [heard[0] with { Tunnel = new object(), BytesUp = 3, BytesDown = 4 }];
        await reporter.ReportAsync(GatewayHost.Deadline);
        Assert.Equal([new DeviceReport(one, "192.0.2.3:3", at, 3, 4)], Taken(host.Silo));

        // More than one message can hold.
        heard = [.. Enumerable.Range(0, 1001).Select(_ => new Relay.Gateway.WireGuard.DeviceCounters(Guid.NewGuid(), tunnel, "192.0.2.1:1", at, 1, 1))];
        await reporter.ReportAsync(GatewayHost.Deadline);
        Assert.Equal([1000, 1], host.Silo.Reports.Select(r => r.Devices.Count));
    }

    private static DeviceReport[] Taken(ScriptedSilo silo)
    {
        Assert.True(silo.Reports.TryDequeue(out var reports));
        Assert.Empty(silo.Reports);
        return [.. reports.Devices];
    }

    private static GridDevice Device(bool preshared = false) => new(
        Guid.NewGuid(), Guid.NewGuid(), Key(), ["100.124.0.1", "fd62:6f72:6465:7230::1"], preshared ? Key() : null);

    private static string Key() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    private static async Task<DevicesChange> NextAsync(IAsyncEnumerator<DevicesChange> changes) =>
        await changes.MoveNextAsync() ? changes.Current : throw new InvalidOperationException("the devices ended");
}
