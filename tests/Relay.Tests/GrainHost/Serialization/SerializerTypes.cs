using System.Collections.Immutable;
using System.Net;
using Orleans;

namespace Relay.Tests.GrainHost.Serialization;

[GenerateSerializer]
[Alias("test.everything")]
internal sealed record Everything
{
    [Id(0)] public bool Bool { get; init; }

    [Id(1)] public byte Byte { get; init; }

    [Id(2)] public sbyte SByte { get; init; }

    [Id(3)] public short Short { get; init; }

    [Id(4)] public ushort UShort { get; init; }

    [Id(5)] public int Int { get; init; }

    [Id(6)] public uint UInt { get; init; }

    [Id(7)] public long Long { get; init; }

    [Id(8)] public ulong ULong { get; init; }

    [Id(9)] public float Float { get; init; }

    [Id(10)] public double Double { get; init; }

    [Id(11)] public decimal Decimal { get; init; }

    [Id(12)] public char Char { get; init; }

    [Id(13)] public string? Text { get; init; }

    [Id(14)] public Guid Guid { get; init; }

    [Id(15)] public TimeSpan Span { get; init; }

    [Id(16)] public DateTimeOffset At { get; init; }

    [Id(17)] public DateTime Date { get; init; }

    [Id(18)] public IPAddress? Address { get; init; }

    [Id(19)] public byte[]? Bytes { get; init; }

    [Id(20)] public int[]? Array { get; init; }

    [Id(21)] public List<string?>? List { get; init; }

    [Id(22)] public Dictionary<string, int?>? Map { get; init; }

    [Id(23)] public ImmutableArray<Pair> Pairs { get; init; }

    [Id(24)] public DayOfWeek Day { get; init; }

    [Id(25)] public int? Maybe { get; init; }

    [Id(26)] public Everything? Inner { get; init; }

    [Id(27)] public IReadOnlyList<long>? ReadOnly { get; init; }

    [Id(28)] public IReadOnlyDictionary<Guid, string>? ReadOnlyMap { get; init; }

    [Id(29)] public Shape? Shape { get; init; }

    [Id(300)] public ulong HighId { get; init; }

    [Id(31)] public Unsigned Big { get; init; }
}

[GenerateSerializer]
[Alias("test.pair")]
internal readonly record struct Pair(int Left, string? Right);

internal enum Unsigned : ulong
{
    None = 0,
    Highest = ulong.MaxValue,
}

[GenerateSerializer]
[Alias("test.shape")]
internal abstract record Shape([property: Id(0)] string Name);

[GenerateSerializer]
[Alias("test.circle")]
internal sealed record Circle(string Name, [property: Id(1)] double Radius) : Shape(Name);

[GenerateSerializer]
[Alias("test.square")]
internal sealed record Square(string Name, [property: Id(1)] double Side) : Shape(Name);

/// <summary>Derives from a registered type without being one.</summary>
internal sealed record Stranger() : Shape("stranger");

// Two versions of a message, as two silos of different age know it.
[GenerateSerializer]
[Alias("test.message-v1")]
internal sealed record MessageV1([property: Id(0)] string Name, [property: Id(1)] int Count);

[GenerateSerializer]
[Alias("test.message-v2")]
internal sealed record MessageV2(
    [property: Id(0)] string Name, [property: Id(2)] Everything? More, [property: Id(3)] List<int>? Numbers, [property: Id(1)] int Count, [property: Id(4)] double Weight);

/// <summary>Primary constructor parameters without ids are numbered apart from members with ids.</summary>
[GenerateSerializer]
[Alias("test.mixed")]
internal sealed record Mixed(string First, int Second)
{
    [Id(0)] public string? Third { get; init; }
}

[GenerateSerializer]
[Alias("test.mixed-again")]
internal sealed record MixedAgain([Id(1)] int Renamed, [Id(0)] string First)
{
    [Id(0)] public string? Third { get; init; }
}

/// <summary>Not immutable: somebody could change the list.</summary>
[GenerateSerializer]
internal sealed record WithList([property: Id(0)] List<int> Items);

[GenerateSerializer]
internal sealed class Plain
{
    [Id(0)] public int Value { get; set; }

    [Id(1)] internal string Kept { get; set; } = "set by the constructor";

    public int NotSent { get; set; }
}

[GenerateSerializer]
internal sealed record Node([property: Id(0)] int Value)
{
    [Id(1)] public Node? Next { get; set; }
}

internal sealed record Unmarked(int Value);

internal static class Refused
{
    // Nested and private to no grain assembly's message list: these cannot be described.
    [GenerateSerializer]
    internal sealed record HoldsUnmarked<T>([property: Id(0)] Unmarked Inner, [property: Id(1)] T? Other);

    [GenerateSerializer]
    internal sealed record SameIdTwice<T>([property: Id(0)] int One, [property: Id(0)] T? Two);

    [GenerateSerializer]
    internal sealed class NoSetter<T>
    {
        [Id(0)] public int Value { get; } = 1;

        public T? Other { get; init; }
    }
}
