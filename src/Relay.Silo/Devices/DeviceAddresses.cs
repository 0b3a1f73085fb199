using Relay.Silo.Storage;

namespace Relay.Silo.Devices;

/// <summary>Gives devices their places in the ranges.</summary>
internal static class DeviceAddresses
{
    /// <summary>
    /// Takes a place for a device, in the transaction that makes it: one that nobody ever had, and when there are none, the one that was given
    /// back longest ago of a device of which the history has no session any more.
    /// </summary>
    /// <returns>False: all are taken.</returns>
    public static async Task<bool> TakeAsync(OrganizationWrite write, DeviceNetwork network, Guid deviceId)
    {
        // The grid's row is held until the commit, so organizations take turns, too.
        var index = await write.QuerySingleAsync<int?>(
            """
            UPDATE grid SET device_addresses = device_addresses + CASE WHEN device_addresses + 1 = @OwnIndex THEN 2 ELSE 1 END
            WHERE device_addresses + CASE WHEN device_addresses + 1 = @OwnIndex THEN 2 ELSE 1 END <= @LastDeviceIndex
            RETURNING device_addresses
            """,
            new { DeviceNetwork.OwnIndex, network.LastDeviceIndex });
        if (index is not null)
            return await write.ExecuteAsync("INSERT INTO device_address (address_index, device_id) VALUES (@index, @deviceId)", new { index, deviceId }) == 1;
        return await write.ExecuteAsync(
            """
            UPDATE device_address SET device_id = @deviceId, given_at = now(), released_at = NULL
            WHERE address_index = (
              SELECT a.address_index FROM device_address a
              WHERE a.released_at IS NOT NULL AND a.address_index <= @LastDeviceIndex
                AND NOT EXISTS (SELECT 1 FROM session s WHERE s.credential->>'kind' = 'device' AND s.credential->>'id' = a.device_id::text)
              ORDER BY a.released_at LIMIT 1 FOR UPDATE SKIP LOCKED)
            """,
            new { deviceId, network.LastDeviceIndex }) == 1;
    }
}
