using System.Runtime.InteropServices;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>struct virtio_net_hdr, 10 bytes, in the machine's byte order: what an IFF_VNET_HDR device has before each packet.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct VirtioHeader
{
    public const int Length = 10;

    /// <summary>The checksum is to be filled in: from <see cref="ChecksumStart"/> on, the field already holds the sum of the pseudo header.</summary>
    public const byte NeedsChecksum = 1;

    /// <summary>Kinds of large packets; 0 is none.</summary>
    public const byte NoSegmentation = 0, Tcp4 = 1, Tcp6 = 4, Udp = 5;

    public byte Flags;

    /// <summary>Whether, and as what, the packet is to be cut.</summary>
    public byte Segmentation;

    /// <summary>Headers' length; what the kernel says here may be the length of a whole packet and is not used.</summary>
    public ushort HeaderLength;

    /// <summary>Payload of each packet that it is cut into.</summary>
    public ushort SegmentPayload;

    public ushort ChecksumStart;

    /// <summary>Where the checksum is, from <see cref="ChecksumStart"/>.</summary>
    public ushort ChecksumOffset;
}
