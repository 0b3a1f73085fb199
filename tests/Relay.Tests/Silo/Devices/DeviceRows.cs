using System.Security.Cryptography;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Devices;

/// <summary>Devices as rows, for tests of what comes after the API.</summary>
internal static class DeviceRows
{
    /// <summary>A user's device, with the next address.</summary>
    /// <param name="login">How much longer its login counts; null: no end.</param>
    public static async Task<(Guid Id, byte[] PublicKey)> AddDeviceAsync(this TestSilo silo, Guid user, byte[]? presharedKey = null, TimeSpan? login = null)
    {
        var (id, key) = (Guid.NewGuid(), RandomNumberGenerator.GetBytes(32));
        await silo.ApplyAsync(
            """
            UPDATE grid SET device_addresses = device_addresses + 1;
            INSERT INTO device_address (address_index, device_id) SELECT device_addresses, @id FROM grid;
            INSERT INTO device (device_id, organization_id, user_id, name, public_key, preshared_key, login_valid_until)
            VALUES (@id, @OrganizationId, @user, 'd-' || @id::text, @key, @presharedKey, now() + @login::interval);
            """,
            new { id, silo.OrganizationId, user, key, presharedKey, login });
        return (id, key);
    }
}
