using System.Diagnostics.CodeAnalysis;

namespace Relay.Silo.Fencing;

/// <summary>One start of a silo, as it counts in majorities.</summary>
/// <param name="Address">Advertised grid address; one process at a time has it.</param>
/// <param name="Incarnation">Which start.</param>
internal readonly record struct Voter(string Address, Guid Incarnation)
{
    /// <summary>The form it has in the store: "address incarnation".</summary>
    public override string ToString() => $"{Address} {Incarnation}";

    /// <summary>Reads <see cref="ToString"/>'s form.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Voter? voter)
    {
        var space = text.LastIndexOf(' ');
        voter = space > 0 && Guid.TryParse(text.AsSpan(space + 1), out var incarnation) ? new Voter(text[..space], incarnation) : null;
        return voter is not null;
    }
}
