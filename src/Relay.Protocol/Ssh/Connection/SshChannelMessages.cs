using System.Buffers.Binary;

namespace Relay.Protocol.Ssh;

/// <summary>Writers of the messages of RFC 4254, each into a writer that was cleared.</summary>
internal static class SshChannelMessages
{
    public static void Open(SshWriter writer, string type, uint localId, uint window, ReadOnlySpan<byte> typeData)
    {
        writer.WriteByte(SshMessageNumber.ChannelOpen);
        writer.WriteString(type);
        writer.WriteUInt32(localId);
        writer.WriteUInt32(window);
        writer.WriteUInt32(SshLimits.MaximumChannelData);
        writer.WriteBytes(typeData);
    }

    public static void OpenConfirmation(SshWriter writer, uint remoteId, uint localId, uint window, ReadOnlySpan<byte> data)
    {
        writer.WriteByte(SshMessageNumber.ChannelOpenConfirmation);
        writer.WriteUInt32(remoteId);
        writer.WriteUInt32(localId);
        writer.WriteUInt32(window);
        writer.WriteUInt32(SshLimits.MaximumChannelData);
        writer.WriteBytes(data);
    }

    public static void OpenFailure(SshWriter writer, uint remoteId, SshChannelOpenReason reason, string description)
    {
        writer.WriteByte(SshMessageNumber.ChannelOpenFailure);
        writer.WriteUInt32(remoteId);
        writer.WriteUInt32((uint)reason);
        writer.WriteString(description);
        writer.WriteString("");
    }

    public static void WindowAdjust(SshWriter writer, uint remoteId, uint bytes)
    {
        writer.WriteByte(SshMessageNumber.ChannelWindowAdjust);
        writer.WriteUInt32(remoteId);
        writer.WriteUInt32(bytes);
    }

    /// <summary>EOF, CLOSE, SUCCESS and FAILURE: the number and the channel.</summary>
    public static void Short(SshWriter writer, byte number, uint remoteId)
    {
        writer.WriteByte(number);
        writer.WriteUInt32(remoteId);
    }

    public static void Request(SshWriter writer, uint remoteId, string type, bool wantReply, ReadOnlySpan<byte> payload)
    {
        writer.WriteByte(SshMessageNumber.ChannelRequest);
        writer.WriteUInt32(remoteId);
        writer.WriteString(type);
        writer.WriteBoolean(wantReply);
        writer.WriteBytes(payload);
    }

    public static void GlobalRequest(SshWriter writer, string type, bool wantReply, ReadOnlySpan<byte> payload)
    {
        writer.WriteByte(SshMessageNumber.GlobalRequest);
        writer.WriteString(type);
        writer.WriteBoolean(wantReply);
        writer.WriteBytes(payload);
    }

    /// <summary>Builds a data packet straight in the output buffer: no copy but the one into it.</summary>
    public static void Data(SshPacketWriter writer, uint remoteId, uint? extendedType, ReadOnlySpan<byte> data)
    {
        var header = extendedType is null ? 9 : 13;
        var payload = writer.Begin(header + data.Length);
        payload[0] = extendedType is null ? SshMessageNumber.ChannelData : SshMessageNumber.ChannelExtendedData;
        BinaryPrimitives.WriteUInt32BigEndian(payload[1..], remoteId);
        if (extendedType is { } type)
            BinaryPrimitives.WriteUInt32BigEndian(payload[5..], type);
        BinaryPrimitives.WriteInt32BigEndian(payload[(header - 4)..], data.Length);
        data.CopyTo(payload[header..]);
        writer.Commit();
    }
}
