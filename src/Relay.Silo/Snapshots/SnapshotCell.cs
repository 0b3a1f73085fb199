using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Relay.Silo.Snapshots;

/// <summary>
/// The snapshots of all organizations this silo decides by, behind one swappable reference. Reads take no lock.
/// Read once per decision and use that snapshot throughout.
/// </summary>
internal sealed class SnapshotCell
{
    private volatile Index _index = Index.Empty;

    /// <summary>Null: no such organization.</summary>
    public OrgSnapshot? Find(Guid organizationId) => _index.ById.GetValueOrDefault(organizationId);

    /// <summary>The versions in use.</summary>
    public IReadOnlyDictionary<Guid, long> Versions() => _index.ById.ToFrozenDictionary(p => p.Key, p => p.Value.Version);

    /// <summary>The organization whose user CA has this fingerprint.</summary>
    public bool TryFindByUserCa(string fingerprint, [NotNullWhen(true)] out OrgSnapshot? snapshot) => _index.ByUserCa.TryGetValue(fingerprint, out snapshot);

    /// <summary>The user who registered a key; the key alone says who connects, grid-wide.</summary>
    public bool TryFindKey(string fingerprint, [NotNullWhen(true)] out OrgSnapshot? snapshot, [NotNullWhen(true)] out OrgUser? user)
    {
        user = null;
        return _index.ByKey.TryGetValue(fingerprint, out snapshot)
            && snapshot.Keys.TryGetValue(fingerprint, out var owner)
            && snapshot.Users.TryGetValue(owner, out user);
    }

    /// <summary>A device by its id, with the organization whose it is. False: there is none, or it was revoked, or its user is gone.</summary>
    public bool TryFindDevice(Guid deviceId, [NotNullWhen(true)] out OrgSnapshot? snapshot, [NotNullWhen(true)] out OrgDevice? device, [NotNullWhen(true)] out OrgUser? user)
    {
        (device, user) = (null, null);
        return _index.ByDevice.TryGetValue(deviceId, out snapshot)
            && snapshot.Devices.TryGetValue(deviceId, out device)
            && snapshot.Users.TryGetValue(device.UserId, out user);
    }

    /// <summary>All organizations, each at one version.</summary>
    public IEnumerable<OrgSnapshot> All => _index.ById.Values;

    /// <summary>Puts a new version in place. Called by one feed only.</summary>
    internal void Swap(OrgSnapshot snapshot) => _index = Index.From(_index.ById.SetItem(snapshot.OrganizationId, snapshot));

    /// <summary>Forgets a deleted organization. Called by one feed only.</summary>
    internal void Remove(Guid organizationId) => _index = Index.From(_index.ById.Remove(organizationId));

    private sealed record Index(ImmutableDictionary<Guid, OrgSnapshot> ById, FrozenDictionary<string, OrgSnapshot> ByUserCa, FrozenDictionary<string, OrgSnapshot> ByKey, Dictionary<Guid, OrgSnapshot> ByDevice)
    {
        public static readonly Index Empty = From(ImmutableDictionary<Guid, OrgSnapshot>.Empty);

        public static Index From(ImmutableDictionary<Guid, OrgSnapshot> byId)
        {
            var byKey = new Dictionary<string, OrgSnapshot>(StringComparer.Ordinal);
            var byDevice = new Dictionary<Guid, OrgSnapshot>();
            foreach (var snapshot in byId.Values)
            {
                foreach (var fingerprint in snapshot.Keys.Keys)
                    byKey[fingerprint] = snapshot;
                foreach (var device in snapshot.Devices.Keys)
                    byDevice[device] = snapshot;
            }

            return new Index(byId, byId.Values.ToFrozenDictionary(s => s.UserCa.Fingerprint, StringComparer.Ordinal), byKey.ToFrozenDictionary(StringComparer.Ordinal), byDevice);
        }
    }
}
