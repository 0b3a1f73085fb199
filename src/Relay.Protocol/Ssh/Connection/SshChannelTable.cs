using System.Diagnostics.CodeAnalysis;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Channels by this side's number, the lowest free one first. Counts the peer's channels from their OPEN to both
/// CLOSE (L10). Not thread-safe.
/// </summary>
internal sealed class SshChannelTable(int maximumFromPeer)
{
    private SshChannel?[] _slots = new SshChannel?[4];
    private int _firstFree;

    /// <summary>Channels of both sides.</summary>
    public int Count { get; private set; }

    /// <summary>Channels the peer opened or asks to open.</summary>
    public int FromPeer { get; private set; }

    /// <summary>True when the peer may not open another.</summary>
    public bool IsFullForPeer => FromPeer >= maximumFromPeer;

    /// <summary>The number the next channel gets.</summary>
    public uint NextId
    {
        get
        {
            while (_firstFree < _slots.Length && _slots[_firstFree] is not null)
                _firstFree++;
            return (uint)_firstFree;
        }
    }

    /// <summary>Adds a channel made with <see cref="NextId"/>.</summary>
    public void Add(SshChannel channel)
    {
        var id = (int)channel.LocalId;
        if (id >= _slots.Length)
            Array.Resize(ref _slots, _slots.Length * 2);
        _slots[id] = channel;
        Count++;
        if (channel.IsFromPeer)
            FromPeer++;
    }

    /// <summary>Frees the channel's number.</summary>
    public void Remove(SshChannel channel)
    {
        var id = (int)channel.LocalId;
        if (id >= _slots.Length || !ReferenceEquals(_slots[id], channel))
            return;
        _slots[id] = null;
        _firstFree = Math.Min(_firstFree, id);
        Count--;
        if (channel.IsFromPeer)
            FromPeer--;
    }

    /// <summary>False: there is no such channel.</summary>
    public bool TryGet(uint id, [NotNullWhen(true)] out SshChannel? channel)
    {
        channel = id < (uint)_slots.Length ? _slots[id] : null;
        return channel is not null;
    }

    /// <summary>A copy of all channels.</summary>
    public SshChannel[] ToArray() => [.. _slots.OfType<SshChannel>()];
}
