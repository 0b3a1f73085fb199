using System.Collections.Immutable;
using System.Net;
using FsCheck;
using FsCheck.Fluent;
using Relay.GrainHost.Serialization;
using Xunit;

namespace Relay.Tests.GrainHost.Serialization;

public sealed class SerializerTests
{
    private static readonly CodecRegistry s_codecs = Registry();

    [Fact]
    public void Everything_comes_back_as_it_was()
    {
        var value = Full(Full(null));
        var copy = RoundTrip(value);
        Assert.Equivalent(value, copy, strict: true);
        Assert.Equal(value.At.Offset, copy.At.Offset);
        Assert.Equal(value.Date.Kind, copy.Date.Kind);
        Assert.IsType<Circle>(copy.Shape);
    }

    [Fact]
    public void Defaults_and_nulls_come_back_as_such()
    {
        var copy = RoundTrip(new Everything());
        Assert.Equal(new Everything(), copy);
        Assert.True(copy.Pairs.IsDefault);
    }

    [Fact]
    public void Any_numbers_and_texts_come_back_as_they_were() => Checked.Holds(Prop.ForAll<long, string, double>((number, text, real) =>
    {
        var value = new Everything { Long = number, ULong = (ulong)number, Int = (int)number, Text = text, Double = real, Span = new TimeSpan(number), Maybe = (int)number };
        // A lone surrogate has no UTF-8; the generator makes them.
        var expected = text is null ? null : System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text));
        return RoundTrip(value).Equals(value with { Text = expected });
    }));

    [Theory]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    [InlineData(0L)]
    [InlineData(-1L)]
    [InlineData(63L)]
    [InlineData(64L)]
    public void Signed_numbers_at_their_bounds(long number)
    {
        Assert.Equal(number, RoundTrip(number));
        Assert.Equal((ulong)number, RoundTrip((ulong)number));
    }

    [Fact]
    public void A_newer_silo_is_understood_by_an_older_one_and_the_other_way_round()
    {
        var newer = new MessageV2("n", Full(null), [1, 2, 3], 7, 1.5);
        Assert.Equal(new MessageV1("n", 7), Convert<MessageV2, MessageV1>(newer));
        Assert.Equivalent(new MessageV2("n", null, null, 7, 0), Convert<MessageV1, MessageV2>(new MessageV1("n", 7)));
    }

    [Fact]
    public void Constructor_parameters_without_ids_are_numbered_by_position_apart_from_members()
    {
        var mixed = new Mixed("one", 2) { Third = "three" };
        Assert.Equal(mixed, RoundTrip(mixed));
        Assert.Equal(new MixedAgain(2, "one") { Third = "three" }, Convert<Mixed, MixedAgain>(mixed));
    }

    [Fact]
    public void A_class_is_made_by_its_constructor_and_members_without_id_stay_behind()
    {
        var copy = RoundTrip(new Plain { Value = 3, Kept = "changed", NotSent = 9 });
        Assert.Equal((3, "changed", 0), (copy.Value, copy.Kept, copy.NotSent));
    }

    [Fact]
    public void Only_registered_types_are_written_and_read()
    {
        Assert.Contains("is not registered", Assert.Throws<NotSupportedException>(() => RoundTrip<Shape>(new Stranger())).Message, StringComparison.Ordinal);
        var bytes = Write<Shape>(new Circle("c", 1));
        // "test.circle" becomes "test.message-v1"'s neighbour: registered, but no shape.
        var forged = bytes.AsSpan().ToArray();
        "test.square"u8.CopyTo(forged.AsSpan(bytes.AsSpan().IndexOf("test.circle"u8)));
        Assert.IsType<Square>(Read<Shape>(forged));
        "test.nobody"u8.CopyTo(forged.AsSpan(bytes.AsSpan().IndexOf("test.circle"u8)));
        Assert.Throws<WireFormatException>(() => Read<Shape>(forged));
        var stranger = Write<Shape>(new Circle("c", 1));
        "System.Guid"u8.CopyTo(stranger.AsSpan(stranger.AsSpan().IndexOf("test.circle"u8)));
        Assert.Throws<WireFormatException>(() => Read<Shape>(stranger));
    }

    [Fact]
    public void Types_that_cannot_travel_are_refused_with_the_reason()
    {
        Assert.Contains("has no [GenerateSerializer]", Assert.Throws<NotSupportedException>(() => s_codecs.Get<Refused.HoldsUnmarked<int>>()).Message, StringComparison.Ordinal);
        Assert.Contains("have the same number", Assert.Throws<NotSupportedException>(() => s_codecs.Get<Refused.SameIdTwice<int>>()).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be set", Assert.Throws<NotSupportedException>(() => s_codecs.Get<Refused.NoSetter<int>>()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cycle_is_refused_when_written_and_endless_nesting_when_read()
    {
        var node = new Node(1);
        node.Next = node;
        Assert.Throws<InvalidOperationException>(() => Write(node));
        Node? deep = null;
        for (var i = 0; i < WireLimits.MaxDepth; i++) deep = new Node(i) { Next = deep };
        Assert.Equal(deep, RoundTrip(deep!));
        Assert.Throws<InvalidOperationException>(() => Write(new Node(0) { Next = deep }));
    }

    [Fact]
    public void What_nobody_can_change_is_not_copied()
    {
        Assert.True(s_codecs.Get<Mixed>().IsImmutable);
        Assert.True(s_codecs.Get<ImmutableArray<Pair>>().IsImmutable);
        Assert.True(s_codecs.Get<string>().IsImmutable);
        Assert.False(s_codecs.Get<WithList>().IsImmutable);
        Assert.False(s_codecs.Get<Plain>().IsImmutable);
        Assert.False(s_codecs.Get<byte[]>().IsImmutable);
        Assert.False(s_codecs.Get<Shape>().IsImmutable);
        var original = new WithList([1]);
        var copy = s_codecs.Get<WithList>().Copy(original);
        Assert.NotSame(original.Items, copy.Items);
        Assert.Equal(original.Items, copy.Items);
    }

    [Fact]
    public void A_count_beyond_the_bytes_is_refused_before_anything_is_allocated()
    {
        // A block of 5 bytes whose list claims 2^32-1 elements.
        byte[] bytes = [5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        // The first time makes the codec, and the runtime what it throws with.
        Assert.Throws<WireFormatException>(() => Read<List<long>>(bytes));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<WireFormatException>(() => Read<List<long>>(bytes));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 50_000);
    }

    [Fact]
    public void Cut_short_anywhere_it_is_refused()
    {
        var bytes = Write(Full(Full(null)));
        for (var length = 0; length < bytes.Length; length++) Assert.Throws<WireFormatException>(() => Read<Everything>(bytes[..length]));
    }

    [Fact]
    public void Damaged_messages_are_read_or_refused_but_nothing_else()
    {
        var random = new System.Random(20260101);
        var original = Write(Full(Full(null)));
        var refused = 0;
        for (var round = 0; round < 20_000; round++)
        {
            var bytes = original.ToArray();
            for (var changes = random.Next(1, 6); changes > 0; changes--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0) random.NextBytes(bytes.AsSpan(random.Next(bytes.Length)));
            try
            {
                Read<Everything>(bytes);
            }
            catch (WireFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 1000, 20_000);
    }

    [Fact]
    public void Random_bytes_are_read_or_refused_but_nothing_else() => Checked.Holds(Prop.ForAll<byte[]>(bytes =>
    {
        var framed = new byte[bytes.Length + 5];
        BitConverter.TryWriteBytes(framed, bytes.Length + 1);
        bytes.CopyTo(framed, 5);
        try
        {
            Read<Everything>(framed);
        }
        catch (WireFormatException)
        {
            // As it should be.
        }
    }), 2000);

    internal static CodecRegistry Registry()
    {
        var codecs = new CodecRegistry();
        foreach (var type in new[] { typeof(Circle), typeof(Square), typeof(MessageV1) }) codecs.Get(type);
        return codecs;
    }

    private static Everything Full(Everything? inner) => new()
    {
        Bool = true,
        Byte = 200,
        SByte = -100,
        Short = -30_000,
        UShort = 60_000,
        Int = int.MinValue,
        UInt = uint.MaxValue,
        Long = long.MinValue,
        ULong = ulong.MaxValue,
        Float = float.Epsilon,
        Double = Math.PI,
        Decimal = -79228162514264337593543950335m,
        Char = '€',
        Text = "text 𝄞",
        Guid = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"),
        Span = TimeSpan.FromTicks(-1),
        At = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromMinutes(330)),
        Date = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc),
        Address = IPAddress.Parse("fd62:6f72:6465::1"),
        Bytes = [1, 2, 3],
        Array = [1, -1, int.MaxValue],
        List = ["a", null, ""],
        Map = new() { ["one"] = 1, ["none"] = null },
        Pairs = [new Pair(1, "x"), new Pair(2, null)],
        Day = DayOfWeek.Saturday,
        Maybe = 0,
        Inner = inner,
        ReadOnly = [1, 2],
        ReadOnlyMap = new Dictionary<Guid, string> { [Guid.Empty] = "zero" },
        Shape = new Circle("round", 2),
        HighId = 1,
        Big = Unsigned.Highest,
    };

    private static T RoundTrip<T>(T value) => Read<T>(Write(value));

    private static TTo Convert<TFrom, TTo>(TFrom value) => Read<TTo>(Write(value));

    private static byte[] Write<T>(T value)
    {
        var writer = new WireWriter();
        s_codecs.Get<T>().Write(writer, value);
        return writer.Written.ToArray();
    }

    private static T Read<T>(byte[] bytes)
    {
        var reader = new WireReader(bytes);
        return s_codecs.Get<T>().Read(ref reader);
    }
}
