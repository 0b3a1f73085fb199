using System.Buffers.Binary;
using System.Text;

namespace Relay.Gateway.Recording;

/// <summary>
/// Reads the client's side of SFTP version 3 (draft-ietf-secsh-filexfer-02) as it passes, whatever way it is split, and tells
/// the operations. Never alters or delays the stream; keeps at most <see cref="MaxHeadBytes"/> of a packet, so file data is skipped.
/// Not thread-safe.
/// </summary>
/// <param name="onOperation">Called for each operation that changes or opens something.</param>
internal sealed class SftpWatcher(Action<SftpOperation> onOperation)
{
    /// <summary>Largest packet accepted: OpenSSH's SFTP_MAX_MSG_LENGTH. A larger one is a broken stream.</summary>
    public const int MaxPacketBytes = 256 * 1024;

    public const int MaxPathBytes = 4096;

    /// <summary>Type, id, and two of the longest paths with their lengths.</summary>
    public const int MaxHeadBytes = 1 + 4 + (2 * (4 + MaxPathBytes)) + 64;

    private byte[] _head = new byte[64];
    private int _headLength;
    private int _lengthBytes;
    private uint _length;
    private uint _left;

    /// <summary>The stream is not SFTP: nothing after this can be told, so nothing after this may pass.</summary>
    public bool Broken { get; private set; }

    /// <summary>Bytes of file data the client has sent, payload of SSH_FXP_WRITE; as its packets declare.</summary>
    public long WrittenBytes { get; private set; }

    /// <summary>Takes the next bytes of the stream.</summary>
    /// <returns>False when the stream is <see cref="Broken"/>.</returns>
    public bool Push(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty && !Broken)
        {
            if (_lengthBytes < 4)
            {
                _length = (_length << 8) | data[0];
                data = data[1..];
                if (++_lengthBytes == 4)
                {
                    Broken = _length is 0 or > MaxPacketBytes;
                    (_left, _headLength) = (_length, 0);
                }

                continue;
            }

            var take = (int)Math.Min(_left, (uint)data.Length);
            Keep(data[..take]);
            data = data[take..];
            _left -= (uint)take;
            if (_left == 0)
            {
                Report(_head.AsSpan(0, _headLength));
                (_lengthBytes, _length) = (0, 0);
            }
        }

        return !Broken;
    }

    private void Keep(ReadOnlySpan<byte> part)
    {
        // SSH_FXP_WRITE and SSH_FXP_READ: the fields before the data are enough.
        var type = _headLength > 0 ? _head[0] : part[0];
        var limit = type is 5 or 6 ? 64 : MaxHeadBytes;
        var room = Math.Min(part.Length, limit - _headLength);
        if (room <= 0)
        {
            return;
        }

        if (_head.Length < _headLength + room)
        {
            Array.Resize(ref _head, Math.Max(_headLength + room, _head.Length * 2));
        }

        part[..room].CopyTo(_head.AsSpan(_headLength));
        _headLength += room;
    }

    private void Report(ReadOnlySpan<byte> packet)
    {
        var type = packet[0];
        if (packet.Length < 5)
        {
            return;
        }

        var rest = packet[5..];
        switch (type)
        {
            case 3: // SSH_FXP_OPEN: filename, pflags, attrs
                if (TryReadText(ref rest, out var file))
                {
                    onOperation(new SftpOperation("open", file, null, OpenFlags(rest)));
                }

                break;
            case 6: // SSH_FXP_WRITE: handle, uint64 offset, data
                CountWrite(rest);
                break;
            case 9:
                One("setstat", rest);
                break;
            case 10: // names a handle, not a path
                onOperation(new SftpOperation("fsetstat", "", null, null));
                break;
            case 11:
                One("opendir", rest);
                break;
            case 13:
                One("remove", rest);
                break;
            case 14:
                One("mkdir", rest);
                break;
            case 15:
                One("rmdir", rest);
                break;
            case 18:
                Two("rename", rest);
                break;
            case 20:
                Two("symlink", rest);
                break;
            case 200:
                Extended(rest);
                break;
        }
    }

    // SSH_FXP_EXTENDED: request name, then what that request wants. Those that change something name one or two paths first.
    private void Extended(ReadOnlySpan<byte> rest)
    {
        if (!TryReadText(ref rest, out var name))
        {
            return;
        }

        switch (name)
        {
            case "posix-rename@openssh.com" or "hardlink@openssh.com":
                Two(name, rest);
                break;
            case "lsetstat@openssh.com":
                One(name, rest);
                break;
            case "statvfs@openssh.com" or "fstatvfs@openssh.com" or "fsync@openssh.com" or "limits@openssh.com"
                or "expand-path@openssh.com" or "home-directory" or "users-groups-by-id@openssh.com":
                break; // looks, changes nothing
            default:
                onOperation(new SftpOperation(name, "", null, null));
                break;
        }
    }

    private void One(string name, ReadOnlySpan<byte> rest)
    {
        if (TryReadText(ref rest, out var path))
        {
            onOperation(new SftpOperation(name, path, null, null));
        }
    }

    private void Two(string name, ReadOnlySpan<byte> rest)
    {
        if (TryReadText(ref rest, out var first) && TryReadText(ref rest, out var second))
        {
            onOperation(new SftpOperation(name, first, second, null));
        }
    }

    private void CountWrite(ReadOnlySpan<byte> rest)
    {
        // handle (4 + n), offset 8, data length 4
        if (rest.Length < 4)
        {
            return;
        }

        var handle = BinaryPrimitives.ReadUInt32BigEndian(rest);
        if (handle <= (uint)rest.Length && rest.Length - 4 - (long)handle >= 12)
        {
            var declared = BinaryPrimitives.ReadUInt32BigEndian(rest[(4 + (int)handle + 8)..]);
            WrittenBytes += Math.Min(declared, _length);
        }
    }

    private static string? OpenFlags(ReadOnlySpan<byte> rest)
    {
        if (rest.Length < 4)
        {
            return null;
        }

        var flags = BinaryPrimitives.ReadUInt32BigEndian(rest);
        ReadOnlySpan<string> names = ["read", "write", "append", "create", "truncate", "exclusive"];
        var text = new StringBuilder();
        for (var i = 0; i < names.Length; i++)
        {
            if ((flags & (1u << i)) != 0)
            {
                text.Append(text.Length > 0 ? "," : "").Append(names[i]);
            }
        }

        return text.ToString();
    }

    // A string whose length exceeds what is there was cut by MaxHeadBytes or is a lie: tell what is there, consume all of it.
    private static bool TryReadText(ref ReadOnlySpan<byte> rest, out string text)
    {
        text = "";
        if (rest.Length < 4)
        {
            return false;
        }

        var declared = BinaryPrimitives.ReadUInt32BigEndian(rest);
        rest = rest[4..];
        var length = (int)Math.Min(declared, (uint)rest.Length);
        text = Encoding.UTF8.GetString(rest[..Math.Min(length, MaxPathBytes)]);
        rest = rest[length..];
        return true;
    }
}
