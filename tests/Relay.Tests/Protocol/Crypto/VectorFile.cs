using System.Text.Json;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Crypto;

/// <summary>Published test vectors: a JSON array of objects, each labelled with the section it comes from.</summary>
internal static class VectorFile
{
    public static JsonElement[] Read(string name)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests/Vectors", name)));
        JsonElement[] vectors = [.. document.RootElement.EnumerateArray().Select(e => e.Clone())];
        Assert.NotEmpty(vectors);
        return vectors;
    }

    /// <summary>Sections of the file, one test case each.</summary>
    public static TheoryData<string> Sections(string name) => [.. Read(name).Select(v => v.GetProperty("section").GetString()!)];

    public static JsonElement Of(string name, string section) => Read(name).Single(v => v.GetProperty("section").GetString() == section);

    public static byte[] Hex(this JsonElement vector, string name) => Convert.FromHexString(vector.GetProperty(name).GetString()!);
}
