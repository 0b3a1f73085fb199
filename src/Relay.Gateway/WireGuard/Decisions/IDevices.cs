namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>Says which devices there are, live.</summary>
internal interface IDevices
{
    /// <summary>
    /// The devices and then their changes, in order, until cancelled. The first is complete; another complete one may follow at any time, for
    /// example when the connection to who knows was lost: devices that are not in it are removed. Nothing else removes a device, so a source
    /// that must not be trusted for longer than it can be asked ends them itself.
    /// </summary>
    IAsyncEnumerable<DevicesChange> WatchAsync(CancellationToken cancellationToken);
}

/// <summary>A step in what <see cref="IDevices"/> says.</summary>
/// <param name="IsComplete">True: <paramref name="Present"/> are all devices there are.</param>
/// <param name="Present">Devices that are new or changed.</param>
/// <param name="Removed">Devices that are no longer: their flows end at once, their tunnel with them. Unknown ones are ignored.</param>
internal sealed record DevicesChange(bool IsComplete, IReadOnlyList<UserDevice> Present, IReadOnlyList<Guid> Removed);
