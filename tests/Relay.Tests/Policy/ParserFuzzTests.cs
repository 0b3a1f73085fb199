using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class ParserFuzzTests
{
    private static readonly string[] Fragments =
    [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "-1", "1e999", "0", "\"\"", "\"*\"", "{}", "[]", "\"ssh\":{},", "\"who\":{},", "\"\\ud800\"", "\\u0000", "/*", "\ufeff", "\u202e",
        "99999999999999999999999", "\"10.0.0.0/0\"", "\"00:00 UTC\"", "\"version\":\"v1\",",
    ];

    [Fact]
    public void Mutated_documents_never_throw_and_what_parses_has_no_errors()
    {
        var valid = 0;
        var mutated =
            from policy in RandomPolicies.Policy
            from seeds in Gen.Resize(Gen.Choose(0, int.MaxValue).ArrayOf(), 6)
            select Mutate(Encoding.UTF8.GetBytes(policy.Json), seeds);
        Checked.ForAll(mutated.ToArbitrary(), 6_000, json =>
        {
            var parsed = PolicyDocument.TryParse(json, out var document, out var errors);
            valid += parsed ? 1 : 0;
            PolicyConverter.TryConvert(json, out _, out _);
            return parsed == (document is not null) && parsed == (errors.Count == 0) && errors.Count <= PolicyLimits.MaxErrors + 1
                && errors.All(error => error.Path.StartsWith('$') && error.Message.Length is > 0 and < 2_000 && !error.Path.Any(char.IsControl) && !error.Message.Any(char.IsControl));
        });
        Assert.InRange(valid, 100, 5_900);
    }

    [Fact]
    public void Renaming_or_retyping_anything_never_allows_what_the_original_did_not()
    {
        // A mistake in a policy must close it. Left out on purpose: removing a clause or an entry of a condition, which is an edit, not a mistake.
        var cases =
            from policy in RandomPolicies.Policy
            from request in RandomPolicies.Request
            from seed in Gen.Choose(0, int.MaxValue)
            select (Policy: policy, Request: request, Seed: seed);
        var closed = 0;
        Checked.ForAll(cases.ToArbitrary(), 4_000, sample =>
        {
            var broken = Break(JsonNode.Parse(sample.Policy.Json)!, new Random(sample.Seed)).ToJsonString();
            if (!PolicyDocument.TryParse(broken, out _, out _))
            {
                closed++;
                return true;
            }

            // It parsed, so what was broken was one of the few free texts: a name that now matches nobody.
            return !Oracle.Allows(broken, sample.Request) || Oracle.Allows(sample.Policy.Json, sample.Request);
        });
        Assert.True(closed > 2_000, $"only {closed} were refused");
    }

    private static byte[] Mutate(byte[] json, int[] seeds)
    {
        var bytes = json.ToList();
        foreach (var seed in seeds)
        {
            var random = new Random(seed);
            var at = random.Next(bytes.Count + 1);
            switch (random.Next(6))
            {
                case 0:
                    bytes.InsertRange(at, Encoding.UTF8.GetBytes(Fragments[random.Next(Fragments.Length)]));
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2 when at < bytes.Count:
                    bytes.RemoveRange(at, random.Next(1, Math.Min(16, bytes.Count - at) + 1));
                    break;
                case 3:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 4:
                    var length = random.Next(bytes.Count - at + 1);
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                default:
                    if (at < bytes.Count)
                        bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>Renames one key, or replaces one value by one of another type.</summary>
    private static JsonNode Break(JsonNode root, Random random)
    {
        var objects = new List<JsonObject>();
        void Collect(JsonNode? node)
        {
            if (node is JsonObject members)
            {
                if (members.Count > 0)
                    objects.Add(members);
                foreach (var (_, value) in members)
                    Collect(value);
            }
            else if (node is JsonArray entries)
            {
                foreach (var entry in entries)
                    Collect(entry);
            }
        }

        Collect(root);
        var target = objects[random.Next(objects.Count)];
        var (key, old) = target.ElementAt(random.Next(target.Count));
        var copy = old?.DeepClone();
        target.Remove(key);
        if (random.Next(2) == 0)
            target[key + "x"] = copy;
        else
            target[key] = copy is JsonObject ? new JsonArray() : copy is JsonArray ? new JsonObject() : new JsonObject();
        return root;
    }
}
