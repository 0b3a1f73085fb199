using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Tests.Repository;

namespace Relay.Tests.Protocol.Contracts;

/// <summary>
/// What silos, gateways and connectors of neighbouring versions say to each other is written down in src/Relay.Protocol/Contracts.txt,
/// and what version 1 said is kept beside this test: today's code must read it.
/// </summary>
public sealed class WireContractTests
{
    private const string Allowed =
        "Allowed are new routes, headers, codes and messages, and new fields that may be missing. A name, type or route that exists stays: "
        + "a neighbour of the version before sends it, or waits for it.";

    private static readonly JsonSerializerContext[] s_contexts = [GridJson.Default, TunnelJson.Default, TunnelMessageJson.Default];

    [Fact]
    public void The_contract_list_is_what_the_code_says()
    {
        var path = Path.Combine(RepositoryRoot.Path, "src", "Relay.Protocol", "Contracts.txt");
        var actual = Describe();
        var recorded = File.Exists(path) ? File.ReadAllText(path) : "";
        if (actual == recorded)
            return;
        var copy = Path.Combine(RepositoryRoot.Path, ".artifacts", "WireContracts.txt");
        File.WriteAllText(copy, actual);
        var lost = Facts(recorded).Except(Facts(actual)).ToArray();
        Assert.True(lost.Length == 0, $"Changed or removed on the wire:\n{string.Join("\n", lost)}\n{Allowed}");
        Assert.Fail($"New on the wire:\n{string.Join("\n", Facts(actual).Except(Facts(recorded)))}\n{Allowed} If that is what it is, copy {copy} to {path}.");
    }

    [Fact]
    public void A_field_that_was_added_to_a_message_of_version_1_may_be_missing()
    {
        foreach (var (type, golden) in Golden())
        {
            var required = Info(type).Properties.Where(p => p.IsRequired || p.AssociatedParameter is { HasDefaultValue: false }).Select(p => p.Name);
            foreach (var name in required.Where(name => !golden.ContainsKey(name)))
            {
                // A positional field without a default is filled with its zero value; null must then be looked for by its reader.
                var property = Info(type).Properties.Single(p => p.Name == name);
                Assert.True(property.IsSetNullable || Nullable.GetUnderlyingType(property.PropertyType) is not null, $"{type}.{name} is new and cannot be missing: {Allowed}");
            }
        }
    }

    [Fact]
    public void What_version_1_said_is_read_with_every_value()
    {
        foreach (var (type, golden) in Golden())
            AssertKept(golden, Again(type, golden), type);
    }

    [Fact]
    public void What_a_later_version_adds_is_ignored()
    {
        foreach (var (type, golden) in Golden())
            AssertKept(golden, Again(type, (JsonObject)WithStrangers(golden)!), type);
    }

    [Fact]
    public void A_word_of_a_later_version_is_no_known_one()
    {
        Assert.Equal(StreamOpenError.Failed, StreamOpenErrors.Parse("word_of_a_later_version"));
        Assert.False(AttachCodes.IsFatal("word_of_a_later_version"));
        var choice = new SiloChoice(new SiloChoiceOptions(), TimeProvider.System);
        choice.Announce(new SiloAnnouncements(1, [new("a:1", "a", null, "word_of_a_later_version", 0), new("b:1", "b", null, SiloAnnouncement.Active, 0)]));
        Assert.Equal("b:1", choice.Current);
        Assert.False(choice.IsFit("a:1"));
    }

    private static IEnumerable<string> Facts(string text)
    {
        var section = "";
        foreach (var line in text.Split('\n').Where(l => l.Length > 0 && !l.StartsWith('#')))
        {
            if (line.StartsWith(' '))
                yield return $"{section}: {line.Trim()}";
            else
                yield return section = line;
        }
    }

    private static string Describe()
    {
        var text = new StringBuilder("# Written by WireContractTests: what goes over the wire between silos, gateways and connectors.\n");
        foreach (var words in new[] { typeof(GridRoutes), typeof(TunnelWire), typeof(AttachPreamble), typeof(AttachCodes), typeof(SiloAnnouncement) })
        {
            var constants = words.GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f is { IsLiteral: true }).OrderBy(f => f.Name, StringComparer.Ordinal).ToArray();
            text.Append("\nwords ").Append(words.Name).Append('\n');
            foreach (var constant in constants.Where(c => c.FieldType == typeof(string) || c.Name == nameof(TunnelWire.ProtocolVersion)))
                text.Append("  ").Append(constant.Name).Append(" = ").Append(constant.GetRawConstantValue()).Append('\n');
        }

        text.Append("\nwords StreamOpenError\n");
        foreach (var error in Enum.GetValues<StreamOpenError>())
            text.Append("  ").Append(error).Append(" = ").Append(error.ToWire()).Append('\n');
        text.Append("\nwords routes with ids\n");
        var id = Guid.Empty;
        foreach (var route in new[]
            {
                GridRoutes.Authorize(id), GridRoutes.Stream(id), GridRoutes.HostKey(id), GridRoutes.Events(id), GridRoutes.End(id), GridRoutes.RecordingChunk(id, 0, 0),
                GridRoutes.ConnectorStream(id),
            })
        {
            text.Append("  ").Append(route.Replace(id.ToString(), "{id}", StringComparison.Ordinal)).Append('\n');
        }

        foreach (var type in s_contexts.SelectMany(Types).Distinct().OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            text.Append("\nmessage ").Append(type.Name).Append('\n');
            foreach (var property in Info(type).Properties)
                text.Append("  ").Append(property.Name).Append(": ").Append(Name(property.PropertyType)).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>The messages of a serializer, and the records inside them.</summary>
    private static IEnumerable<Type> Types(JsonSerializerContext context) => context.GetType().GetProperties()
        .Where(p => p.PropertyType.IsGenericType && p.PropertyType.GetGenericTypeDefinition() == typeof(JsonTypeInfo<>))
        .Select(p => p.PropertyType.GetGenericArguments()[0])
        .Where(t => t.Assembly == typeof(GridRoutes).Assembly);

    private static string Name(Type type) => Nullable.GetUnderlyingType(type) is { } inner ? Name(inner)
        : type.IsGenericType ? $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
        : type.Name;

    private static JsonTypeInfo Info(Type type) => s_contexts.Select(c => c.GetTypeInfo(type)).OfType<JsonTypeInfo>().First();

    private static JsonTypeInfo Info(string type) => Info(s_contexts.SelectMany(Types).First(t => t.Name == type));

    private static IEnumerable<(string Type, JsonObject Json)> Golden()
    {
        var file = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "Relay.Tests", "Protocol", "Contracts", "version-1.json")))!.AsObject();
        Assert.True(file.Count >= 20, $"{file.Count} messages");
        return file.Select(m => (m.Key, m.Value!.AsObject()));
    }

    private static JsonNode Again(string type, JsonObject json)
    {
        var info = Info(type);
        var read = json.Deserialize(info);
        Assert.NotNull(read);
        return JsonSerializer.SerializeToNode(read, info)!;
    }

    private static void AssertKept(JsonNode expected, JsonNode? actual, string where)
    {
        if (expected is JsonObject fields)
        {
            foreach (var (name, value) in fields.Where(f => f.Value is not null))
                AssertKept(value!, actual?[name], $"{where}.{name}");
        }
        else
        {
            Assert.True(JsonNode.DeepEquals(expected, actual), $"{where}: {expected.ToJsonString()} became {actual?.ToJsonString() ?? "nothing"}. {Allowed}");
        }
    }

    // Maps of text are data, not messages: what is in them is kept.
    private static JsonNode? WithStrangers(JsonNode? node)
    {
        if (node is not JsonObject fields)
            return node?.DeepClone();
        var more = new JsonObject { ["of_a_later_version"] = new JsonObject { ["deep"] = new JsonArray(1, "two", null) } };
        foreach (var (name, value) in fields)
            more[name] = name == "metadata" ? value?.DeepClone() : WithStrangers(value);
        return more;
    }
}
