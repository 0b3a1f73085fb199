using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Relay.Silo.Sessions;

namespace Relay.Silo.History;

/// <summary>
/// Something that happened and must be in the store exactly once: written at once, or spooled and delivered later. Immutable.
/// Applying a fact twice is applying it once.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(SessionOpened), "session_opened")]
[JsonDerivedType(typeof(SessionEnded), "session_ended")]
[JsonDerivedType(typeof(SessionLeft), "session_left")]
[JsonDerivedType(typeof(BytesCounted), "bytes_counted")]
[JsonDerivedType(typeof(ChannelDecided), "channel_decided")]
[JsonDerivedType(typeof(EventHappened), "event_happened")]
[JsonDerivedType(typeof(WayTaken), "way_taken")]
[JsonDerivedType(typeof(ChunkRecorded), "chunk_recorded")]
internal abstract record Fact
{
    /// <summary>In the store it stands with the event and the audit entry that the fact makes.</summary>
    public Guid Id { get; init; } = Guid.CreateVersion7();

    /// <summary>When it happened, by the clock of the silo that spooled it. Null: it is written as it happens, by the database's clock.</summary>
    public DateTimeOffset? At { get; init; }

    public required Guid SessionId { get; init; }

    /// <summary>Length of the JSON (4 bytes, little-endian), the JSON, and what <see cref="ChunkRecorded"/> carries besides.</summary>
    public byte[] ToPayload()
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(this, FactJson.Default.Fact);
        var blob = this is ChunkRecorded chunk ? chunk.Gzip : default;
        var payload = new byte[4 + json.Length + blob.Length];
        BinaryPrimitives.WriteInt32LittleEndian(payload, json.Length);
        json.CopyTo(payload, 4);
        blob.CopyTo(payload.AsMemory(4 + json.Length));
        return payload;
    }

    /// <exception cref="InvalidDataException">It is no fact that this version knows.</exception>
    public static Fact FromPayload(ReadOnlyMemory<byte> payload)
    {
        try
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(payload.Span);
            var fact = JsonSerializer.Deserialize(payload.Span.Slice(4, length), FactJson.Default.Fact);
            return fact is ChunkRecorded chunk ? chunk with { Gzip = payload[(4 + length)..] } : fact ?? throw new InvalidDataException("the record is null");
        }
        catch (Exception e) when (e is JsonException or ArgumentException or NotSupportedException)
        {
            throw new InvalidDataException("the record is no fact that this version of Relay knows", e);
        }
    }

    /// <summary>The id of something that its reporter has numbered: reported again, it is the same.</summary>
    public static Guid NumberedId(Guid sessionId, string number) =>
        new(SHA256.HashData([.. sessionId.ToByteArray(bigEndian: true), .. System.Text.Encoding.UTF8.GetBytes(number)]).AsSpan(0, 16), bigEndian: true);
}

/// <summary>A session began, or was refused.</summary>
internal sealed record SessionOpened : Fact
{
    public required SessionRow Row { get; init; }

    /// <summary>Advertised address of the silo it lives on.</summary>
    public required string Silo { get; init; }

    public required Guid Incarnation { get; init; }
}

/// <summary>A session's own silo ended it.</summary>
internal sealed record SessionEnded : Fact
{
    /// <summary>Whoever adopted it meanwhile ends it, not this silo.</summary>
    public required Guid Incarnation { get; init; }

    public required string Outcome { get; init; }

    /// <summary>action_type of an audit event; null: none.</summary>
    public string? Audit { get; init; }

    public required long BytesUp { get; init; }

    public required long BytesDown { get; init; }
}

/// <summary>A gateway says that its session is over, to a silo that does not know the session and cannot look it up.</summary>
internal sealed record SessionLeft : Fact
{
    public required string Gateway { get; init; }

    public required string Outcome { get; init; }

    public required long BytesUp { get; init; }

    public required long BytesDown { get; init; }
}

/// <summary>A gateway's counters of a session that is over.</summary>
internal sealed record BytesCounted : Fact
{
    public required string Gateway { get; init; }

    public required long BytesUp { get; init; }

    public required long BytesDown { get; init; }
}

/// <summary>A channel was allowed or refused.</summary>
internal sealed record ChannelDecided : Fact
{
    public required Guid OrganizationId { get; init; }

    public required Guid UserId { get; init; }

    public required string Email { get; init; }

    public required string ClientIp { get; init; }

    public required Guid SocketId { get; init; }

    /// <summary>shell, exec, …</summary>
    public required string Type { get; init; }

    public required bool Allowed { get; init; }

    /// <summary>JSON object.</summary>
    public required string Detail { get; init; }
}

/// <summary>A gateway says that something happened.</summary>
internal sealed record EventHappened : Fact
{
    public required string Gateway { get; init; }

    public required string Type { get; init; }

    public required string Status { get; init; }

    /// <summary>JSON object.</summary>
    public required string Metadata { get; init; }
}

/// <summary>Through which connector and silo, and to which target, the session goes from now on.</summary>
internal sealed record WayTaken : Fact
{
    public required Guid ConnectorId { get; init; }

    public required string ConnectorName { get; init; }

    public required string ConnectorSilo { get; init; }

    public required string Target { get; init; }
}

/// <summary>One chunk of a recording.</summary>
internal sealed record ChunkRecorded : Fact
{
    public required string Gateway { get; init; }

    public required int Recording { get; init; }

    public required int Sequence { get; init; }

    public required string Title { get; init; }

    public required bool Last { get; init; }

    /// <summary>gzip of whole asciicast lines; known to inflate.</summary>
    [JsonIgnore]
    public ReadOnlyMemory<byte> Gzip { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Fact))]
internal sealed partial class FactJson : JsonSerializerContext;
