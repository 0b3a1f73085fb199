using System.Text;

namespace Relay.Chaos.Network;

/// <summary>Links that are cut: what one node sends to another is dropped where it arrives, without an answer. Safe for concurrent use.</summary>
internal sealed class Cuts(NodeNetwork network) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly List<(string From, string To)> _cut = [];

    /// <summary>Addresses that a node has besides its own.</summary>
    public Dictionary<string, List<string>> MoreAddresses { get; } = [];

    /// <summary>Cuts one direction each.</summary>
    public Task CutAsync(params IEnumerable<(string From, string To)> directions) => ChangeAsync(directions, static (cut, d) => cut.Add(d));

    /// <summary>Mends what <see cref="CutAsync"/> cut; a direction that was cut twice stays cut until it is mended twice.</summary>
    public Task MendAsync(params IEnumerable<(string From, string To)> directions) => ChangeAsync(directions, static (cut, d) => cut.Remove(d));

    /// <summary>Writes a node's rules anew: an address has come or gone.</summary>
    public Task RefreshAsync() => ChangeAsync([], static (_, _) => { });

    public void Dispose() => _gate.Dispose();

    private async Task ChangeAsync(IEnumerable<(string From, string To)> directions, Action<List<(string, string)>, (string, string)> change)
    {
        await _gate.WaitAsync();
        try
        {
            var touched = new HashSet<string>();
            foreach (var direction in directions)
            {
                change(_cut, direction);
                touched.Add(direction.To);
            }

            foreach (var node in touched.Count > 0 ? touched : [.. _cut.Select(c => c.To)])
                await network.RunAsync(node, ["/usr/sbin/nft", "-f", "-"], Rules(node));
        }
        finally
        {
            _gate.Release();
        }
    }

    private string Rules(string node)
    {
        var text = new StringBuilder("table ip chaos\ndelete table ip chaos\n");
        string[] sources = [.. _cut.Where(c => c.To == node).Select(c => c.From).Distinct().SelectMany(Addresses)];
        if (sources.Length > 0)
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"table ip chaos {{\n chain in {{\n  type filter hook input priority 0;\n  ip saddr {{ {string.Join(", ", sources)} }} drop\n }}\n}}\n");
        return text.ToString();
    }

    private IEnumerable<string> Addresses(string node) => MoreAddresses.GetValueOrDefault(node, []).Prepend(network.Address(node));
}
