namespace Relay.Protocol.Grid;

/// <summary>How <see cref="SiloChoice"/> chooses.</summary>
public sealed record SiloChoiceOptions
{
    /// <summary>The chooser's own region; empty: none is preferred.</summary>
    public string Region { get; init; } = "";

    /// <summary>How often silos are measured; each wait is between three and five quarters of it. Default: 1 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>By which part of its round trip the present silo must be beaten. Default: a quarter.</summary>
    public double Margin { get; init; } = 0.25;

    /// <summary>By how much it must be beaten at least: what is this near is equally near. Default: 2 ms.</summary>
    public TimeSpan LeastMargin { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>How many measurements in a row must find another silo better. Default: 5.</summary>
    public int Wins { get; init; } = 5;

    /// <summary>How long a silo must have been up before anybody moves to it without need. Default: 10 s.</summary>
    public TimeSpan SettledAfter { get; init; } = TimeSpan.FromSeconds(10);
}
