namespace Relay.Gateway.Ssh;

/// <summary>
/// A connection that came through a device's tunnel. The tunnel proves whose it is, and the address that was dialled says where it goes: nobody has
/// to authenticate, and the SSH user name is only the user on the target.
/// </summary>
/// <param name="Device">The device.</param>
/// <param name="Socket">Name of the socket whose address it dialled, as the silo said.</param>
internal sealed record DeviceLogin(Guid Device, string Socket);
