namespace Relay.Silo.Grid;

/// <summary>A group of routes on the grid's port; registered in the service collection by whoever owns them.</summary>
internal interface IGridRoutes
{
    /// <summary>Maps the routes; each must say who may call it (<see cref="GridRouting.Open"/>, <see cref="GridRouting.For"/>).</summary>
    void Map(IEndpointRouteBuilder routes);
}
