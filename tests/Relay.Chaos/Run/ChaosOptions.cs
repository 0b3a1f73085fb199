using System.Globalization;

namespace Relay.Chaos.Run;

/// <param name="Minutes">No round begins after that.</param>
/// <param name="Rounds">No more than so many; null: as many as the minutes allow.</param>
/// <param name="Only">Faults to choose from; empty: all.</param>
/// <param name="Folder">Where the history goes.</param>
internal sealed record ChaosOptions(int Seed, double Minutes, int? Rounds, IReadOnlyCollection<string> Only, string Folder)
{
    /// <summary>A history to check again; nothing is run. Null: run.</summary>
    public string? Check { get; init; }

    public const string Usage = "Relay.Chaos [--minutes N] [--seed N] [--rounds N] [--only fault,fault…] [--out folder], or Relay.Chaos --check history";

    /// <exception cref="ArgumentException">With a sentence for the user.</exception>
    public static ChaosOptions Read(IReadOnlyList<string> arguments)
    {
        var options = new ChaosOptions(Random.Shared.Next(1, 1_000_000), 5, null, [], ".artifacts/chaos");
        for (var i = 0; i < arguments.Count; i += 2)
        {
            if (i + 1 >= arguments.Count)
                throw new ArgumentException($"{arguments[i]} needs a value. {Usage}");
            var value = arguments[i + 1];
            options = arguments[i] switch
            {
                "--minutes" when double.TryParse(value, CultureInfo.InvariantCulture, out var minutes) && minutes > 0 => options with { Minutes = minutes },
                "--seed" when int.TryParse(value, CultureInfo.InvariantCulture, out var seed) => options with { Seed = seed },
                // A repeated seed runs its rounds, however long they take.
                "--rounds" when int.TryParse(value, CultureInfo.InvariantCulture, out var rounds) && rounds > 0 => options with { Rounds = rounds, Minutes = double.MaxValue },
                "--only" => options with { Only = value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) },
                "--check" when File.Exists(value) => options with { Check = value },
                "--out" => options with { Folder = value },
                _ => throw new ArgumentException($"{arguments[i]} {value} is not understood. {Usage}"),
            };
        }

        foreach (var fault in options.Only)
            _ = Schedule.Faults.Find(fault);
        return options;
    }
}
