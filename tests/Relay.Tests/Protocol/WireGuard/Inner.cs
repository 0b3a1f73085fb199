using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Inner packets: a header that cryptokey routing can read, and a payload.</summary>
internal static class Inner
{
    public static byte[] IPv4(string source, string destination, ReadOnlySpan<byte> payload)
    {
        var packet = new byte[20 + payload.Length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = 17;
        IPAddress.Parse(source).TryWriteBytes(packet.AsSpan(12), out _);
        IPAddress.Parse(destination).TryWriteBytes(packet.AsSpan(16), out _);
        payload.CopyTo(packet.AsSpan(20));
        return packet;
    }

    public static byte[] IPv6(string source, string destination, ReadOnlySpan<byte> payload)
    {
        var packet = new byte[40 + payload.Length];
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload.Length);
        packet[6] = 17;
        packet[7] = 64;
        IPAddress.Parse(source).TryWriteBytes(packet.AsSpan(8), out _);
        IPAddress.Parse(destination).TryWriteBytes(packet.AsSpan(24), out _);
        payload.CopyTo(packet.AsSpan(40));
        return packet;
    }

    public static string Text(ReadOnlySpan<byte> packet) => Encoding.ASCII.GetString(packet[(packet[0] >> 4 == 4 ? 20 : 40)..]);
}
