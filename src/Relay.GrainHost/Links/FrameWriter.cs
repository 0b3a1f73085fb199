using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>Builds one frame in this thread's buffer; use what <see cref="Finish"/> returns before the next <c>Begin</c>.</summary>
internal static class FrameWriter
{
    [ThreadStatic]
    private static WireWriter? s_writer;

    public static WireWriter Begin(FrameKind kind)
    {
        var writer = s_writer ??= new WireWriter();
        writer.Clear();
        writer.Take(LinkWire.LengthBytes);
        writer.WriteByte((byte)kind);
        return writer;
    }

    public static WireWriter Begin(FrameKind kind, ulong id)
    {
        var writer = Begin(kind);
        writer.WriteFixed64(id);
        return writer;
    }

    public static ReadOnlySpan<byte> Finish(WireWriter writer)
    {
        writer.PatchFixed32(0, (uint)(writer.Length - LinkWire.LengthBytes));
        return writer.Written;
    }
}
