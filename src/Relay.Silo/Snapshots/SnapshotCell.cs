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
    public bool TryFindByUserCa(string fingerprint, [NotNullWhen(true)] out OrgSnapshot? snapshot)
    {
        var index = _index;
        snapshot = null;
        return index.ByUserCa.TryGetValue(fingerprint, out var owner) && index.ById.TryGetValue(owner, out snapshot);
    }

    /// <summary>The user who registered a key; the key alone says who connects, grid-wide.</summary>
    public bool TryFindKey(string fingerprint, [NotNullWhen(true)] out OrgSnapshot? snapshot, [NotNullWhen(true)] out OrgUser? user)
    {
        var index = _index;
        (snapshot, user) = (null, null);
        return index.ByKey.TryGetValue(fingerprint, out var organization)
            && index.ById.TryGetValue(organization, out snapshot)
            && snapshot.Keys.TryGetValue(fingerprint, out var owner)
            && snapshot.Users.TryGetValue(owner, out user);
    }

    /// <summary>A device by its id, with the organization whose it is. False: there is none, or it was revoked, or its user is gone.</summary>
    public bool TryFindDevice(Guid deviceId, [NotNullWhen(true)] out OrgSnapshot? snapshot, [NotNullWhen(true)] out OrgDevice? device, [NotNullWhen(true)] out OrgUser? user)
    {
        var index = _index;
        (snapshot, device, user) = (null, null, null);
        return index.ByDevice.TryGetValue(deviceId, out var organization)
            && index.ById.TryGetValue(organization, out snapshot)
            && snapshot.Devices.TryGetValue(deviceId, out device)
            && snapshot.Users.TryGetValue(device.UserId, out user);
    }

    /// <summary>All organizations, each at one version.</summary>
    public IEnumerable<OrgSnapshot> All => _index.ById.Values;

    /// <summary>Puts a new version in place. Called by one feed only.</summary>
    internal void Swap(OrgSnapshot snapshot) => _index = _index.With(_index.ById.SetItem(snapshot.OrganizationId, snapshot), snapshot.OrganizationId);

    /// <summary>Forgets a deleted organization. Called by one feed only.</summary>
    internal void Remove(Guid organizationId) => _index = _index.With(_index.ById.Remove(organizationId), organizationId);

    private sealed record Index(ImmutableDictionary<Guid, OrgSnapshot> ById, FrozenDictionary<string, Guid> ByUserCa, IReadOnlyDictionary<string, Guid> ByKey, IReadOnlyDictionary<Guid, Guid> ByDevice)
    {
        public static readonly Index Empty = new(ImmutableDictionary<Guid, OrgSnapshot>.Empty, FrozenDictionary<string, Guid>.Empty, new Dictionary<string, Guid>(), new Dictionary<Guid, Guid>());

        /// <param name="changed">The organization that is another one than in this index.</param>
        public Index With(ImmutableDictionary<Guid, OrgSnapshot> byId, Guid changed)
        {
            var (before, now) = (ById.GetValueOrDefault(changed), byId.GetValueOrDefault(changed));
            // Keys and devices are many, and most changes are of something else.
            return new Index(
                byId,
                byId.Values.ToFrozenDictionary(s => s.UserCa.Fingerprint, s => s.OrganizationId, StringComparer.Ordinal),
                ReferenceEquals(before?.Keys, now?.Keys) ? ByKey : Owners(byId, s => s.Keys.Keys, StringComparer.Ordinal),
                ReferenceEquals(before?.Devices, now?.Devices) ? ByDevice : Owners(byId, s => s.Devices.Keys, EqualityComparer<Guid>.Default));
        }

        private static Dictionary<TKey, Guid> Owners<TKey>(ImmutableDictionary<Guid, OrgSnapshot> byId, Func<OrgSnapshot, IEnumerable<TKey>> of, IEqualityComparer<TKey> comparer)
            where TKey : notnull
        {
            var owners = new Dictionary<TKey, Guid>(comparer);
            foreach (var snapshot in byId.Values)
            {
                foreach (var key in of(snapshot))
                    owners[key] = snapshot.OrganizationId;
            }

            return owners;
        }
    }
}
