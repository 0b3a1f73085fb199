using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Relay.Bench;

/// <summary>Which way is better.</summary>
internal enum Better
{
    Higher,
    Lower,
}

/// <summary>One measured figure beside its peer's, from the same run unless the peer's name says otherwise.</summary>
/// <param name="Ratio">Above 1: we are better; null without a peer.</param>
internal sealed record Row(string Name, string Unit, string Better, double Value, string? Peer, double? PeerValue, double? Ratio);

/// <summary>Prints rows as they come and keeps them in results.json, where rows of other runs stay.</summary>
internal sealed class Report(string prefix)
{
    private readonly List<Row> _rows = [];

    /// <summary>False: the filter leaves this row out, so it need not be measured.</summary>
    public bool Wants(string name) => name.StartsWith(prefix, StringComparison.Ordinal);

    /// <summary>Something worth knowing about the next rows: sizes, spread, allocations.</summary>
    public static void Note(string text) => Console.WriteLine($"  {text}");

    public void Add(string name, string unit, Better better, double value, string? peer = null, double? peerValue = null)
    {
        double? ratio = peerValue is { } other && value > 0 && other > 0 ? (better == Better.Higher ? value / other : other / value) : null;
        var row = new Row(name, unit, better == Better.Higher ? "higher" : "lower", value, peer, peerValue, ratio);
        _rows.RemoveAll(r => r.Name == name);
        _rows.Add(row);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name,-34} {value,14:#,0.###} {unit,-10}{(peer is null ? "" : $" {peer}: {peerValue,12:#,0.###}   ratio {ratio:0.00}")}"));
    }

    public void Save()
    {
        var file = Path.Combine(ArtifactsFolder(), "bench", "results.json");
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var kept = File.Exists(file) ? JsonSerializer.Deserialize(File.ReadAllText(file), ReportJson.Default.ListRow) ?? [] : [];
        kept.RemoveAll(old => _rows.Any(r => r.Name == old.Name));
        kept.AddRange(_rows);
        kept.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        File.WriteAllText(file, JsonSerializer.Serialize(kept, ReportJson.Default.ListRow) + "\n");
        Console.WriteLine($"\n{_rows.Count} rows, kept in {file}");
    }

    // .artifacts/bin/Relay.Bench/release/ → .artifacts
    private static string ArtifactsFolder() => new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/')).Parent!.Parent!.Parent!.FullName;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(List<Row>))]
internal sealed partial class ReportJson : JsonSerializerContext;
